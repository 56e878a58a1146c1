//! The lines of a file or of standard input, read ahead by a thread of their own: nobody knows when
//! the next line of a pipe comes.

use super::line;
use crate::exit::UsageError;
use anyhow::Context;
use axs_domain::event::BalanceChangeEvent;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// How long the first line of a batch waits for others: a pipe that trickles is submitted as it
/// comes.
pub const FLUSH_AFTER: Duration = Duration::from_millis(200);

/// Lines read ahead of those that are submitted.
const LINES_AHEAD_MAX: usize = 1_000;

/// What some editors put in front of a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A line that is not blank: the event on it, or why it is none.
pub struct NumberedLine {
    /// Its number in the file, from 1 on.
    pub number: u64,
    /// What stands on it.
    pub event: Result<BalanceChangeEvent, String>,
    /// Bytes of the file up to its end.
    pub bytes_read: u64,
}

/// What will be read.
pub struct Input {
    source: Box<dyn BufRead + Send>,
    /// Its length, when it is a file.
    pub bytes: Option<u64>,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// A file that can't be opened, or is a folder.
    pub fn open(path: &Path) -> Result<Self, UsageError> {
        if path.as_os_str() == "-" {
            return Ok(Self {
                source: Box::new(BufReader::new(io::stdin())),
                bytes: None,
            });
        }
        let named = |error| UsageError(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(named)?;
        let metadata = file.metadata().map_err(named)?;
        if metadata.is_dir() {
            return Err(UsageError(format!(
                "{} is a folder; name one file of JSON lines, or - for standard input",
                path.display()
            )));
        }
        Ok(Self {
            source: Box::new(BufReader::new(file)),
            bytes: metadata.is_file().then_some(metadata.len()),
        })
    }

    /// Begins to read.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn read_ahead(self) -> io::Result<Lines> {
        let (sender, receiver) = mpsc::channel(LINES_AHEAD_MAX);
        let mut reader = Reader {
            source: self.source,
            bytes_read: 0,
            line: 0,
        };
        std::thread::Builder::new()
            .name("submit-lines".to_owned())
            .spawn(move || {
                while let Some(line) = reader.next_event().transpose() {
                    let failed = line.is_err();
                    // Whoever takes the lines may have stopped.
                    if sender.blocking_send(line).is_err() || failed {
                        break;
                    }
                }
            })?;
        Ok(Lines {
            receiver,
            failure: None,
        })
    }
}

/// The lines in their order.
pub struct Lines {
    receiver: mpsc::Receiver<anyhow::Result<NumberedLine>>,
    failure: Option<anyhow::Error>,
}

impl Lines {
    /// The next lines, at most `max`, as they come within [`FLUSH_AFTER`] of the first; none at the
    /// end.
    ///
    /// # Errors
    /// Reading failed. The lines before were given by the call before.
    pub async fn next_batch(&mut self, max: usize) -> anyhow::Result<Vec<NumberedLine>> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut batch = Vec::new();
        let Some(first) = self.receiver.recv().await else {
            return Ok(batch);
        };
        batch.push(first?);
        let until = Instant::now() + FLUSH_AFTER;
        while batch.len() < max
            && let Ok(Some(next)) = timeout_at(until, self.receiver.recv()).await
        {
            match next {
                Ok(line) => batch.push(line),
                Err(failure) => {
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        Ok(batch)
    }
}

/// The source, line by line.
struct Reader {
    source: Box<dyn BufRead + Send>,
    bytes_read: u64,
    line: u64,
}

impl Reader {
    /// The next line that is not blank.
    fn next_event(&mut self) -> anyhow::Result<Option<NumberedLine>> {
        while let Some(bytes) = self.next_line()? {
            let event = match std::str::from_utf8(&bytes) {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => line::parse(text.trim_end_matches(['\r', '\n'])),
                // Cut inside a letter, perhaps.
                Err(_) if bytes.len() > line::LINE_BYTES_MAX => Err(line::too_long()),
                Err(error) => Err(format!(
                    "is not UTF-8 from byte {} on",
                    error.valid_up_to() + 1
                )),
            };
            return Ok(Some(NumberedLine {
                number: self.line,
                event,
                bytes_read: self.bytes_read,
            }));
        }
        Ok(None)
    }

    /// The next line, cut a little past the longest that can be an event, so that a file without
    /// line ends can't fill the memory.
    fn next_line(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let cut = line::LINE_BYTES_MAX as u64 + 2;
        let read = (&mut self.source)
            .take(cut)
            .read_until(b'\n', &mut bytes)
            .context("reading")?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        self.bytes_read += read as u64;
        if !bytes.ends_with(b"\n") {
            self.skip_rest_of_line()?;
        }
        if self.line == 1 && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some(bytes))
    }

    fn skip_rest_of_line(&mut self) -> anyhow::Result<()> {
        loop {
            let buffer = self.source.fill_buf().context("reading")?;
            let (taken, done) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.source.consume(taken);
            self.bytes_read += taken as u64;
            if done {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    const EVENT: &str = r#"{"event_id":"e1","event_type":"deposit","account_id":1,"user_id":2,"source_service":"files","idempotency_key":"k1","changes":[{"change_id":"c1","currency_code":"USDT","available_delta":"1","frozen_delta":"0"}]}"#;

    fn lines(source: impl BufRead + Send + 'static) -> Lines {
        let input = Input {
            source: Box::new(source),
            bytes: None,
        };
        input.read_ahead().unwrap()
    }

    fn lines_of(bytes: impl Into<Vec<u8>>) -> Lines {
        lines(Cursor::new(bytes.into()))
    }

    fn numbers(batch: &[NumberedLine]) -> Vec<u64> {
        batch.iter().map(|line| line.number).collect()
    }

    #[tokio::test]
    async fn lines_come_in_order_in_batches_with_their_numbers_and_blank_ones_are_passed_over() {
        let mut lines = lines_of(format!("{EVENT}\n\n{EVENT}\r\nnonsense\n{EVENT}"));
        let batch = lines.next_batch(3).await.unwrap();
        assert_eq!(numbers(&batch), [1, 3, 4]);
        assert!(batch[1].event.is_ok() && batch[2].event.is_err());
        assert_eq!(numbers(&lines.next_batch(3).await.unwrap()), [5]);
        assert_eq!(numbers(&lines.next_batch(3).await.unwrap()), [] as [u64; 0]);
    }

    #[tokio::test]
    async fn a_pipe_that_trickles_is_given_on_before_the_batch_is_full() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut lines = lines(BufReader::new(reader));
        for number in 1..=2 {
            writeln!(writer, "{EVENT}").unwrap();
            // Were the end waited for, this would never end.
            let batch = lines.next_batch(1_000).await.unwrap();
            assert_eq!(numbers(&batch), [number]);
        }
        drop(writer);
        assert!(lines.next_batch(1_000).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_byte_order_mark_in_front_is_no_part_of_the_first_line() {
        let mut lines = lines_of(format!("\u{feff}{EVENT}\n\u{feff}{EVENT}"));
        let batch = lines.next_batch(2).await.unwrap();
        assert!(batch[0].event.is_ok());
        assert!(batch[1].event.is_err(), "inside the file it is one");
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_are_refused_rather_than_replaced() {
        let mut bytes = EVENT.as_bytes().to_vec();
        bytes[14] = 0xff;
        let batch = lines_of(bytes).next_batch(1).await.unwrap();
        let problem = batch[0].event.as_ref().unwrap_err();
        assert!(problem.contains("not UTF-8 from byte 15"), "{problem}");
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_refused_and_the_next_one_is_read() {
        let long = "x".repeat(3 * line::LINE_BYTES_MAX);
        let mut lines = lines_of(format!("{long}\n{EVENT}"));
        let batch = lines.next_batch(2).await.unwrap();
        let problem = batch[0].event.as_ref().unwrap_err();
        assert!(problem.contains("bytes"), "{problem}");
        assert!(batch[1].event.is_ok());
    }

    /// Gives one line, and then fails.
    struct Failing(Cursor<Vec<u8>>);

    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(io::Error::other("the disk is gone")),
                read => Ok(read),
            }
        }
    }

    #[tokio::test]
    async fn what_was_read_before_a_failure_is_given_before_the_failure_is() {
        let source = Failing(Cursor::new(format!("{EVENT}\n").into_bytes()));
        let mut lines = lines(BufReader::new(source));
        assert_eq!(numbers(&lines.next_batch(9).await.unwrap()), [1]);
        let failure = lines.next_batch(9).await.err().unwrap();
        assert!(format!("{failure:#}").contains("the disk is gone"));
        assert!(lines.next_batch(9).await.unwrap().is_empty());
    }

    #[test]
    fn a_folder_is_no_file() {
        let refused = Input::open(Path::new("/")).err().unwrap().to_string();
        assert!(refused.contains("/ is a folder"), "{refused}");
    }
}
