//! `bootstrap submit FILE`: events from a file, through the same use case that the API drives.
//!
//! The file is read once, in order, a bounded batch at a time; what trickles in by a pipe is sent
//! as it comes. Lines that are no events are named and left out; the others go on. A batch whose
//! outcome is unknown is sent again with the same keys, which settles it. However it ends, by a
//! signal or a failure too, the summary is printed.

mod input;
mod line;
mod results;
mod summary;

use super::start::wait_for_layout;
use crate::cli::SubmitArgs;
use crate::exit::Ending;
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
use input::{Input, NumberedLine};
use shaku::HasComponent;
use std::sync::Arc;
use std::time::{Duration, Instant};
use summary::Summary;
use tokio_util::sync::CancellationToken;

/// Tries of one batch whose outcome is unknown.
const UNKNOWN_TRIES_MAX: u32 = 10;

/// The pause between two tries of a batch whose outcome is unknown.
const UNKNOWN_PAUSE: Duration = Duration::from_millis(500);

/// How long a batch that is refused with a delay (a full window or backlog, a paused layout) is
/// tried before the command gives up.
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
    wait_for_layout(&layers).await?;
    let stop = signal::shutdown(STOP_GRACE)?;
    let submit: Arc<dyn SubmitBalanceChanges> = layers.service.resolve();
    let batch_max = layers.config().settings().write_side.batch_items_max;

    let mut summary = Summary::of(args);
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
    Ok(summary.ending(stop.is_cancelled()))
}

/// Submits line by line until the end of the file, or until `stop`.
async fn submit_file(
    input: Input,
    submit: &dyn SubmitBalanceChanges,
    batch_max: usize,
    stop: &CancellationToken,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let bar = progress(input.bytes);
    let mut lines = input.read_ahead().context("a thread that reads")?;
    let mut done = 0;
    loop {
        let batch = tokio::select! {
            biased;
            () = stop.cancelled() => {
                summary.left_from = Some(done + 1);
                break;
            }
            batch = lines.next_batch(batch_max) => batch,
        };
        let batch = batch.inspect_err(|_| summary.left_from = Some(done + 1))?;
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else {
            break;
        };
        let (first, last, bytes_read) = (first.number, last.number, last.bytes_read);
        if let Err(left) = submit_batch(submit, batch, stop, summary).await {
            summary.left_from = Some(first);
            if left.outcome_unknown {
                summary.unknown_to = Some(last);
            }
            left.failure.map_or(Ok(()), Err)?;
            break;
        }
        done = last;
        bar.set_position(bytes_read);
        bar.set_message(format!("{} accepted", summary.accepted));
    }
    bar.finish_and_clear();
    Ok(())
}

fn progress(bytes: Option<u64>) -> ProgressBar {
    let (bar, template) = match bytes {
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

/// A batch whose lines were not settled.
struct Left {
    /// Whether some of it may have been logged.
    outcome_unknown: bool,
    /// Why, unless the operator stopped it.
    failure: Option<anyhow::Error>,
}

/// Submits the events among these lines and notes what became of each line.
async fn submit_batch(
    submit: &dyn SubmitBalanceChanges,
    batch: Vec<NumberedLine>,
    stop: &CancellationToken,
    summary: &mut Summary,
) -> Result<(), Left> {
    let (mut lines, mut events, mut faulty) = (Vec::new(), Vec::new(), Vec::new());
    for NumberedLine { number, event, .. } in batch {
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
        outcomes_of(submit, events, stop).await?
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
    Ok(())
}

/// Submits events until what became of each is known.
async fn outcomes_of(
    submit: &dyn SubmitBalanceChanges,
    events: Vec<BalanceChangeEvent>,
    stop: &CancellationToken,
) -> Result<Vec<SubmitOutcome>, Left> {
    let patience_ends = Instant::now() + FULL_PATIENCE;
    let (mut tries, mut told) = (0, false);
    // Once a try's answer is unclear, a later refusal says nothing of it.
    let mut outcome_unknown = false;
    let left = |outcome_unknown, failure: anyhow::Error| Left {
        outcome_unknown,
        failure: Some(failure),
    };
    loop {
        let pause = match submit.submit(events.clone(), AckLevel::Logged, None).await {
            Ok(outcomes) => match unknown_of(&outcomes) {
                Some(reason) => {
                    tries += 1;
                    outcome_unknown = true;
                    if tries >= UNKNOWN_TRIES_MAX {
                        return Err(left(true, anyhow!("{reason}")));
                    }
                    tracing::warn!(reason, "sending the same keys again");
                    UNKNOWN_PAUSE
                }
                None => return Ok(outcomes),
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
                outcome_unknown = true;
                if tries >= UNKNOWN_TRIES_MAX {
                    return Err(left(true, failure.into()));
                }
                tracing::warn!(%failure, "sending the same keys again");
                UNKNOWN_PAUSE
            }
            Err(failure) => return Err(left(outcome_unknown, failure.into())),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                return Err(Left {
                    outcome_unknown,
                    failure: None,
                });
            }
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
