//! Waiting for results.

use super::summary::{Summary, Waiting};
use anyhow::anyhow;
use axs_application::usecase::event_state::EventState;
use axs_application::usecase::find_event::{EventLookup, FindEvent};
use axs_domain::id::LogId;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Events looked up at once.
const LOOK_UPS_MAX: usize = 8;

/// The pause between two rounds of looking.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// Looks events up until each has its result, until the time ends, or until `stop`.
///
/// # Errors
/// A server is away.
pub async fn wait_for(
    find: Arc<dyn FindEvent>,
    until: Instant,
    stop: &CancellationToken,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let bar = ProgressBar::new(summary.waiting.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("results {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    while let Some(first) = summary.waiting.first().copied()
        && Instant::now() < until
        && !stop.is_cancelled()
    {
        // While one is undecided, the others need not be asked. Another one the next time: the
        // partition of this one may be the one that nobody leads.
        let found = look(find.as_ref(), first).await?;
        if !summary.note_result(first.line, &found) {
            summary.waiting.rotate_left(1);
            pause(stop).await;
            continue;
        }
        bar.inc(1);
        let rest = summary.waiting.split_off(1);
        summary.waiting.clear();
        let mut looks = futures::stream::iter(rest.clone())
            .map(|waiting| look(find.as_ref(), waiting))
            .buffered(LOOK_UPS_MAX);
        for (index, waiting) in rest.iter().enumerate() {
            // What was not looked at stays in the summary, whatever ends the looking.
            let found = match looks.next().await {
                Some(Ok(found)) if !stop.is_cancelled() => found,
                Some(Err(failure)) => {
                    summary.waiting.extend_from_slice(&rest[index..]);
                    return Err(failure);
                }
                Some(Ok(_)) | None => {
                    summary.waiting.extend_from_slice(&rest[index..]);
                    break;
                }
            };
            if summary.note_result(waiting.line, &found) {
                bar.inc(1);
            } else {
                summary.waiting.push(*waiting);
            }
        }
        if !summary.waiting.is_empty() {
            pause(stop).await;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(ROUND_PAUSE) => {}
    }
}

async fn look(find: &dyn FindEvent, waiting: Waiting) -> anyhow::Result<EventState> {
    let found = find.find(EventLookup::LogId(waiting.log_id)).await?;
    Ok(found.ok_or_else(|| vanished(waiting.log_id))?.state)
}

fn vanished(log_id: LogId) -> anyhow::Error {
    anyhow!("event {log_id} was accepted and can't be found: the database lost it")
}
