//! `bootstrap submit FILE`: events from a file, through the same use case that the API drives.
//!
//! The file is read once, in order, a bounded batch at a time. Lines that are no events are
//! named and left out; the others go on. A batch whose outcome is unknown is sent again with the
//! same keys, which settles it.

mod line;
mod results;
mod summary;

use super::start::{check_topic, wait_for_schema};
use crate::cli::SubmitArgs;
use crate::exit::{Ending, UsageError};
use crate::module::clients::Clients;
use crate::module::layers::Layers;
use crate::settings::Settings;
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

/// Tries of one batch whose outcome is unknown.
const UNKNOWN_TRIES_MAX: u32 = 10;

/// The pause between two tries of a batch whose outcome is unknown.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(500);

/// How long a batch waits for room in the publish window before the command gives up.
const FULL_PATIENCE: Duration = Duration::from_secs(120);

/// How long the last events may take to be published.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Submits the file.
///
/// # Errors
/// The file can't be read, or a server stays away: what was logged before stays logged, and
/// running the command again goes on without doubling anything.
pub async fn run(args: &SubmitArgs, settings: Settings) -> anyhow::Result<Ending> {
    let mut input = Input::open(&args.file)?;
    let clients = Clients::default()
        .with_database(&settings)?
        .with_kafka(&settings)?
        .with_producer(&settings, AfterFailure::ClosePartition)?;
    let layers = Layers::stack(settings, clients)?;
    wait_for_schema(&layers).await?;
    check_topic(&layers).await?;
    let submit: Arc<dyn SubmitBalanceChanges> = layers.service.resolve();
    let batch_max = layers.config().settings().write_side.batch_items_max;

    let mut summary = Summary::default();
    let bar = input.progress();
    loop {
        let batch = input.next_batch(batch_max, &mut summary)?;
        if batch.is_empty() {
            break;
        }
        submit_batch(submit.as_ref(), batch, &mut summary).await?;
        bar.set_position(input.bytes_read);
        bar.set_message(format!("{} accepted", summary.accepted));
    }
    bar.finish_and_clear();

    let log: &dyn LogChanges = layers.service.resolve_ref();
    let publishing: &dyn PublishEvents = layers.service.resolve_ref();
    let logged = log.drain(DRAIN_TIMEOUT).await;
    let published = publishing.drain(DRAIN_TIMEOUT).await;
    summary.left_to_relay = !(logged && published);
    if !args.no_wait {
        let find: Arc<dyn FindEvent> = layers.service.resolve();
        let until = Instant::now() + Duration::from_secs(args.wait_seconds);
        results::wait_for(find, until, &mut summary).await?;
    }
    summary.print();
    Ok(summary.ending(args.no_wait))
}

/// One event and the line it stood on.
struct NumberedEvent {
    line: u64,
    event: BalanceChangeEvent,
}

/// A file or standard input, read line by line.
struct Input {
    lines: Box<dyn BufRead>,
    bytes: Option<u64>,
    bytes_read: u64,
    line: u64,
}

impl Input {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let (lines, bytes): (Box<dyn BufRead>, _) = if path.as_os_str() == "-" {
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

    /// The next events, at most `max`; none at the end. Lines that are no events are noted in the
    /// summary; blank lines are passed over.
    fn next_batch(
        &mut self,
        max: usize,
        summary: &mut Summary,
    ) -> anyhow::Result<Vec<NumberedEvent>> {
        let mut batch = Vec::new();
        while batch.len() < max {
            let Some(text) = self.next_line()? else { break };
            if text.trim().is_empty() {
                continue;
            }
            summary.lines += 1;
            match line::parse(text.trim_end_matches(['\r', '\n'])) {
                Ok(event) => batch.push(NumberedEvent {
                    line: self.line,
                    event,
                }),
                Err(problem) => summary.refuse(self.line, &problem),
            }
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

async fn submit_batch(
    submit: &dyn SubmitBalanceChanges,
    batch: Vec<NumberedEvent>,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let (lines, events): (Vec<u64>, Vec<BalanceChangeEvent>) = batch
        .into_iter()
        .map(|numbered| (numbered.line, numbered.event))
        .unzip();
    let patience_ends = Instant::now() + FULL_PATIENCE;
    let (mut tries, mut told) = (0, false);
    let outcomes = loop {
        match submit.submit(events.clone(), AckLevel::Logged, None).await {
            Ok(outcomes) => match unknown_of(&outcomes) {
                Some(reason) => {
                    tries += 1;
                    if tries >= UNKNOWN_TRIES_MAX {
                        return Err(anyhow!("{reason}")).context(at_line(&lines));
                    }
                    tracing::warn!(reason, "sending the same keys again");
                    tokio::time::sleep(UNKNOWN_PAUSE).await;
                }
                None => break outcomes,
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
                tokio::time::sleep(retry_after).await;
            }
            Err(failure @ SubmitError::Unavailable { .. }) => {
                tries += 1;
                if tries >= UNKNOWN_TRIES_MAX {
                    return Err(failure).context(at_line(&lines));
                }
                tracing::warn!(%failure, "sending the same keys again");
                tokio::time::sleep(UNKNOWN_PAUSE).await;
            }
            Err(failure) => return Err(failure).context(at_line(&lines)),
        }
    };
    for (line, outcome) in lines.into_iter().zip(outcomes) {
        match outcome {
            SubmitOutcome::Accepted(accepted) => summary.accept(&accepted),
            SubmitOutcome::Refused(refusal) => summary.refuse(line, &refusal.message),
            SubmitOutcome::Unknown(reason) => summary.refuse(line, &reason),
        }
    }
    Ok(())
}

/// Why the outcome of one of them is unknown.
fn unknown_of(outcomes: &[SubmitOutcome]) -> Option<&str> {
    outcomes.iter().find_map(|outcome| match outcome {
        SubmitOutcome::Unknown(reason) => Some(reason.as_str()),
        SubmitOutcome::Accepted(_) | SubmitOutcome::Refused(_) => None,
    })
}

fn at_line(lines: &[u64]) -> String {
    let line = lines.first().copied().unwrap_or_default();
    format!("not submitted from line {line} on; run the command again, nothing is doubled")
}
