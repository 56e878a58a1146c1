//! `bootstrap submit FILE`: events from a file, through the same use case that the API drives.
//!
//! The file is read once, in order, a bounded batch at a time. Lines that are no events are
//! named and left out; the others go on. A batch whose outcome is unknown is sent again with the
//! same keys, which settles it. However it ends, by a signal or a failure too, the summary is
//! printed.

mod line;
mod results;
mod summary;

use super::start::{check_topic, wait_for_schema};
use crate::cli::SubmitArgs;
use crate::exit::{Ending, UsageError};
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
use crate::signal;
use anyhow::{Context, anyhow};
use axs_application::usecase::ack_level::AckLevel;
use axs_application::usecase::find_event::FindEvent;
use axs_application::usecase::log_changes::LogChanges;
use axs_application::usecase::publish_events::PublishEvents;
use axs_application::usecase::submit_balance_changes::{
    SubmitBalanceChanges, SubmitError, SubmitOutcome,
};
use axs_domain::event::BalanceChangeEvent;
use axs_infrastructure::kafka::AfterFailure;
use indicatif::{ProgressBar, ProgressStyle};
use shaku::HasComponent;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use summary::Summary;
use tokio_util::sync::CancellationToken;

/// Tries of one batch whose outcome is unknown.
const UNKNOWN_TRIES_MAX: u32 = 10;

/// The pause between two tries of a batch whose outcome is unknown.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(500);

/// How long a batch that is refused with a delay (a full window or backlog, a paused layout) is tried
/// before the command gives up.
const FULL_PATIENCE: Duration = Duration::from_secs(120);

/// How long the last events may take to be published.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the command may take after a signal: its batch, its two drains and the summary.
const STOP_GRACE: Duration = Duration::from_secs(120);

/// Submits the file.
///
/// # Errors
/// The file can't be read, or a server stays away: what was logged before stays logged, and
/// running the command again goes on without doubling anything.
pub async fn run(args: &SubmitArgs, settings: Settings) -> anyhow::Result<Ending> {
    let input = Input::open(&args.file)?;
    let clients = Clients::default()
        .with_database(&settings)?
        .with_kafka(&settings)?
        .with_producer(&settings, AfterFailure::ClosePartition)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_schema(&layers).await?;
    check_topic(&layers).await?;
    let stop = signal::shutdown(STOP_GRACE)?;
    let submit: Arc<dyn SubmitBalanceChanges> = layers.service.resolve();
    let batch_max = layers.config().settings().write_side.batch_items_max;

    let mut summary = Summary::default();
    let submitted = submit_file(input, submit.as_ref(), batch_max, &stop, &mut summary).await;
    let log: &dyn LogChanges = layers.service.resolve_ref();
    let publishing: &dyn PublishEvents = layers.service.resolve_ref();
    let logged = log.drain(DRAIN_TIMEOUT).await;
    let published = publishing.drain(DRAIN_TIMEOUT).await;
    summary.left_to_relay = !(logged && published);
    let ended = match submitted {
        Ok(()) if !args.no_wait => {
            let find: Arc<dyn FindEvent> = layers.service.resolve();
            let until = Instant::now() + Duration::from_secs(args.wait_seconds);
            results::wait_for(find, until, &stop, &mut summary).await
        }
        ended => ended,
    };
    summary.print();
    ended?;
    Ok(summary.ending(args.no_wait, stop.is_cancelled()))
}

/// Submits line by line until the end of the file, or until `stop`.
async fn submit_file(
    mut input: Input,
    submit: &dyn SubmitBalanceChanges,
    batch_max: usize,
    stop: &CancellationToken,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let bar = input.progress();
    loop {
        // A thread of its own: nobody knows when the next line of standard input comes.
        let next_line = input.line + 1;
        let reading = tokio::task::spawn_blocking(move || {
            let batch = input.next_batch(batch_max);
            (input, batch)
        });
        let (back, batch) = tokio::select! {
            biased;
            () = stop.cancelled() => {
                summary.left_from = Some(next_line);
                break;
            }
            read = reading => read.context("reading")?,
        };
        input = back;
        let batch = batch.inspect_err(|_| summary.left_from = Some(next_line))?;
        let Some(first) = batch.first().map(|line| line.number) else {
            break;
        };
        let submitted = submit_batch(submit, batch, stop, summary).await;
        if !matches!(submitted, Ok(true)) {
            summary.left_from = Some(first);
        }
        if !submitted? {
            break;
        }
        bar.set_position(input.bytes_read);
        bar.set_message(format!("{} accepted", summary.accepted));
    }
    bar.finish_and_clear();
    Ok(())
}

/// A line that is not blank: the event on it, or why it is none.
struct NumberedLine {
    number: u64,
    event: Result<BalanceChangeEvent, String>,
}

/// A file or standard input, read line by line.
struct Input {
    lines: Box<dyn BufRead + Send>,
    bytes: Option<u64>,
    bytes_read: u64,
    line: u64,
}

impl Input {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let (lines, bytes): (Box<dyn BufRead + Send>, _) = if path.as_os_str() == "-" {
            (Box::new(BufReader::new(io::stdin())), None)
        } else {
            let file = File::open(path)
                .map_err(|error| UsageError(format!("{}: {error}", path.display())))?;
            let bytes = file.metadata().ok().map(|metadata| metadata.len());
            (Box::new(BufReader::new(file)), bytes)
        };
        Ok(Self {
            lines,
            bytes,
            bytes_read: 0,
            line: 0,
        })
    }

    fn progress(&self) -> ProgressBar {
        let (bar, template) = match self.bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "submit {wide_bar} {bytes}/{total_bytes} {msg}",
            ),
            None => (ProgressBar::no_length(), "submit {spinner} {bytes} {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }

    /// The next lines, at most `max`; none at the end. Blank lines are passed over.
    fn next_batch(&mut self, max: usize) -> anyhow::Result<Vec<NumberedLine>> {
        let mut batch = Vec::new();
        while batch.len() < max {
            let Some(text) = self.next_line()? else { break };
            if text.trim().is_empty() {
                continue;
            }
            batch.push(NumberedLine {
                number: self.line,
                event: line::parse(text.trim_end_matches(['\r', '\n'])),
            });
        }
        Ok(batch)
    }

    /// The next line, cut a little past the longest that can be an event, so that a file without
    /// line ends can't fill the memory.
    fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        let mut bytes = Vec::new();
        let cut = line::LINE_BYTES_MAX as u64 + 2;
        let read = (&mut self.lines)
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
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn skip_rest_of_line(&mut self) -> anyhow::Result<()> {
        loop {
            let buffer = self.lines.fill_buf().context("reading")?;
            let (taken, done) = match buffer.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (buffer.len(), buffer.is_empty()),
            };
            self.lines.consume(taken);
            self.bytes_read += taken as u64;
            if done {
                return Ok(());
            }
        }
    }
}

/// Submits the events among these lines and notes what became of each line; `false` when `stop`
/// came before their outcomes were known.
async fn submit_batch(
    submit: &dyn SubmitBalanceChanges,
    batch: Vec<NumberedLine>,
    stop: &CancellationToken,
    summary: &mut Summary,
) -> anyhow::Result<bool> {
    let (mut lines, mut events, mut faulty) = (Vec::new(), Vec::new(), Vec::new());
    for NumberedLine { number, event } in batch {
        match event {
            Ok(event) => {
                lines.push(number);
                events.push(event);
            }
            Err(problem) => faulty.push((number, problem)),
        }
    }
    let outcomes = if events.is_empty() {
        Vec::new()
    } else {
        match outcomes_of(submit, events, stop).await? {
            Some(outcomes) => outcomes,
            None => return Ok(false),
        }
    };
    summary.lines += (lines.len() + faulty.len()) as u64;
    for (line, problem) in faulty {
        summary.refuse(line, &problem);
    }
    for (line, outcome) in lines.into_iter().zip(outcomes) {
        match outcome {
            SubmitOutcome::Accepted(accepted) => summary.accept(line, &accepted),
            SubmitOutcome::Refused(refusal) => summary.refuse(line, &refusal.message),
            SubmitOutcome::Unknown(reason) => summary.refuse(line, &reason),
        }
    }
    Ok(true)
}

/// Submits events until what became of each is known; `None` when `stop` came first.
async fn outcomes_of(
    submit: &dyn SubmitBalanceChanges,
    events: Vec<BalanceChangeEvent>,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Vec<SubmitOutcome>>> {
    let patience_ends = Instant::now() + FULL_PATIENCE;
    let (mut tries, mut told) = (0, false);
    loop {
        let pause = match submit.submit(events.clone(), AckLevel::Logged, None).await {
            Ok(outcomes) => match unknown_of(&outcomes) {
                Some(reason) => {
                    tries += 1;
                    if tries >= UNKNOWN_TRIES_MAX {
                        return Err(anyhow!("{reason}"));
                    }
                    tracing::warn!(reason, "sending the same keys again");
                    UNKNOWN_PAUSE
                }
                None => return Ok(Some(outcomes)),
            },
            Err(
                ref failure @ (SubmitError::BacklogFull { retry_after, .. }
                | SubmitError::Paused { retry_after }),
            ) if Instant::now() < patience_ends => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(
                        %failure,
                        "waiting, {} s at most; `bootstrap layout show` tells whether a change of the \
                         layout stands unfinished",
                        FULL_PATIENCE.as_secs()
                    );
                }
                retry_after
            }
            Err(failure @ SubmitError::Unavailable { .. }) => {
                tries += 1;
                if tries >= UNKNOWN_TRIES_MAX {
                    return Err(failure.into());
                }
                tracing::warn!(%failure, "sending the same keys again");
                UNKNOWN_PAUSE
            }
            Err(failure) => return Err(failure.into()),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Why the outcome of one of them is unknown.
fn unknown_of(outcomes: &[SubmitOutcome]) -> Option<&str> {
    outcomes.iter().find_map(|outcome| match outcome {
        SubmitOutcome::Unknown(reason) => Some(reason.as_str()),
        SubmitOutcome::Accepted(_) | SubmitOutcome::Refused(_) => None,
    })
}
