//! How far the processing side has come: by its stored offsets, which count events, since each
//! event is one record and nobody else writes to the topic.

use crate::load::Counters;
use anyhow::{Result, bail};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The pause between two looks while a load runs.
const INTERVAL: Duration = Duration::from_millis(250);

/// The pause between two looks for the end.
const END_INTERVAL: Duration = Duration::from_millis(20);

/// Without progress for so long, something is broken.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Records behind the stored offsets of all partitions.
///
/// # Errors
/// PostgreSQL is away.
pub async fn stored(pool: &PgPool) -> Result<u64> {
    let stored: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(stored_offset), 0)::bigint FROM partition_leader_locks",
    )
    .fetch_one(pool)
    .await?;
    Ok(u64::try_from(stored)?)
}

/// One look.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// When.
    pub at: Instant,
    /// Events logged by then.
    pub accepted: u64,
    /// Events final by then.
    pub finalised: u64,
}

/// A watch under way.
#[derive(Debug)]
pub struct ProgressWatch {
    pool: PgPool,
    before: u64,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Vec<Progress>>>,
}

impl ProgressWatch {
    /// Begins to look. Nothing may be under way.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn start(pool: PgPool, counters: Arc<Counters>, before: u64) -> Result<Self> {
        let (stop, mut stopped) = oneshot::channel();
        let looking = pool.clone();
        let task = tokio::spawn(async move {
            let mut looks = Vec::new();
            loop {
                let finalised = stored(&looking).await?.saturating_sub(before);
                looks.push(Progress {
                    at: Instant::now(),
                    accepted: counters.accepted(),
                    finalised,
                });
                tokio::select! {
                    _ = &mut stopped => return Ok(looks),
                    () = tokio::time::sleep(INTERVAL) => {}
                }
            }
        });
        Ok(Self {
            pool,
            before,
            stop,
            task,
        })
    }

    /// Waits until so many events are final, and gives the time and all looks.
    ///
    /// # Errors
    /// Nothing moves any more.
    pub async fn all_final(self, events: u64) -> Result<(Instant, Vec<Progress>)> {
        let at = until_stored(&self.pool, self.before + events).await;
        let _ = self.stop.send(());
        let looks = self.task.await??;
        Ok((at?, looks))
    }
}

/// Waits until the stored offsets have come so far.
///
/// # Errors
/// Nothing moves any more.
pub async fn until_stored(pool: &PgPool, wanted: u64) -> Result<Instant> {
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let now = stored(pool).await?;
        if now >= wanted {
            return Ok(Instant::now());
        }
        if now != last {
            (last, moved) = (now, Instant::now());
        } else if moved.elapsed() > STUCK_AFTER {
            bail!("{now} of {wanted} records are processed, and none more in {STUCK_AFTER:?}");
        }
        tokio::time::sleep(END_INTERVAL).await;
    }
}
