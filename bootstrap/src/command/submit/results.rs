//! Waiting for results.

use super::summary::Summary;
use anyhow::anyhow;
use axs_application::usecase::find_event::{EventLookup, FindEvent};
use axs_domain::id::LogId;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Events looked up at once.
const LOOK_UPS_MAX: usize = 8;

/// The pause between two rounds of looking.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// Looks events up until each has its result, or until the time ends.
///
/// # Errors
/// A server is away.
pub async fn wait_for(
    find: Arc<dyn FindEvent>,
    until: Instant,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let bar = ProgressBar::new(summary.waiting.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("results {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    while !summary.waiting.is_empty() && Instant::now() < until {
        let waiting = std::mem::take(&mut summary.waiting);
        // The oldest is decided first: while it waits, the others need not be asked.
        let first = waiting.first().copied();
        let pending_first = match first {
            Some(log_id) => !look(find.as_ref(), log_id, summary).await?,
            None => false,
        };
        if pending_first {
            summary.waiting = waiting;
            tokio::time::sleep(ROUND_PAUSE).await;
            continue;
        }
        bar.inc(1);
        let rest: Vec<LogId> = waiting.into_iter().skip(1).collect();
        let mut looks = futures::stream::iter(rest)
            .map(|log_id| {
                let find = Arc::clone(&find);
                async move { (log_id, find.find(EventLookup::LogId(log_id)).await) }
            })
            .buffered(LOOK_UPS_MAX);
        while let Some((log_id, found)) = looks.next().await {
            let found = found?.ok_or_else(|| vanished(log_id))?;
            if summary.note_result(&found.state) {
                bar.inc(1);
            } else {
                summary.waiting.push(log_id);
            }
        }
        if !summary.waiting.is_empty() {
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

async fn look(find: &dyn FindEvent, log_id: LogId, summary: &mut Summary) -> anyhow::Result<bool> {
    let found = find
        .find(EventLookup::LogId(log_id))
        .await?
        .ok_or_else(|| vanished(log_id))?;
    Ok(summary.note_result(&found.state))
}

fn vanished(log_id: LogId) -> anyhow::Error {
    anyhow!("event {log_id} was accepted and can't be found: the database lost it")
}
