//! kill -9 of a leader under load: how long its partitions make no progress.
//!
//! Two consumers share the partitions evenly; one is killed, and what counts is the longest time
//! between two commits of one of its partitions around that moment. Clean is what SIGTERM does.

use super::Bench;
use super::run::count;
use crate::load::{Changes, Ending, Pace, Population};
use crate::report::number;
use crate::stage::{Stage, StagePlan, start_load};
use crate::watch::until_stored;
use anyhow::{Context, Result};
use axs_tests::process::Process;
use sqlx::PgPool;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Events a second: enough that each partition commits all the time, and no more.
const RATE: f64 = 2_000.0;

/// How long the load runs before the kill and after it.
const BEFORE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(16);

/// The pause between two looks: what is found is at most so much too long.
const LOOK: Duration = Duration::from_millis(10);

/// How a consumer is ended.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Kill,
    Drain,
}

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let plan = StagePlan {
        consumers: 2,
        ..StagePlan::base("take_over")
    };
    let mut stage = Stage::set(plan, bench.screen).await?;
    for round in 1..=bench.effort.short_runs {
        for (blow, case) in [(Blow::Kill, "kill -9"), (Blow::Drain, "SIGTERM")] {
            stage.deployment.led_by(plan.partitions, 2).await?;
            let gap = one_blow(&mut stage, blow).await?;
            let gap_ms = gap.as_secs_f64() * 1e3;
            bench.screen.say(&format!(
                "take_over: round {round} of {}: {case}: {} ms without progress",
                bench.effort.short_runs,
                number(gap_ms)
            ));
            bench
                .figures
                .add(case, "longest time without progress", "ms", gap_ms);
            stage.deployment.start(0, 1).await?;
        }
    }
    let ttl = "the lease, for comparison";
    bench
        .figures
        .add(ttl, "lease.ttl_ms", "ms", lease_ttl_ms()?);
    stage.strike(true).await
}

async fn one_blow(stage: &mut Stage, blow: Blow) -> Result<Duration> {
    let before = stage.stored().await?;
    let pace = Pace::Open {
        events_per_second: RATE,
    };
    let plan = stage.load(pace, Ending::After(BEFORE + AFTER))?;
    let load = start_load(plan, stage.drawn(Population::Uniform), Changes::One)?;
    let pool = stage.deployment.database.pool.clone();
    let (stop, stopped) = oneshot::channel();
    let watch = tokio::spawn(longest_gaps(pool.clone(), stopped));
    tokio::time::sleep(BEFORE).await;
    let mut victim: Process = stage.deployment.consumers.remove(0);
    match blow {
        Blow::Kill => victim.kill()?,
        Blow::Drain => {
            victim.drain().await?;
        }
    }
    let load = load.outcome().await?;
    until_stored(&pool, before + load.accepted).await?;
    let _ = stop.send(());
    let gaps = watch.await??;
    gaps.into_values().max().context("no partition was seen")
}

/// The longest time between two steps of each partition's stored offset.
async fn longest_gaps(
    pool: PgPool,
    mut stopped: oneshot::Receiver<()>,
) -> Result<HashMap<i32, Duration>> {
    let mut last: HashMap<i32, (i64, Instant)> = HashMap::new();
    let mut gaps: HashMap<i32, Duration> = HashMap::new();
    loop {
        let rows: Vec<(i32, i64)> =
            sqlx::query_as("SELECT partition, stored_offset FROM partition_leader_locks")
                .fetch_all(&pool)
                .await?;
        let now = Instant::now();
        for (partition, offset) in rows {
            match last.get(&partition) {
                Some((seen, _)) if *seen == offset => {}
                // The wait for the first step is that for the load.
                None => {
                    last.insert(partition, (offset, now));
                }
                Some((_, at)) => {
                    let gap = now - *at;
                    let known = gaps.entry(partition).or_default();
                    *known = gap.max(*known);
                    last.insert(partition, (offset, now));
                }
            }
        }
        tokio::select! {
            _ = &mut stopped => return Ok(gaps),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// The default, from the one place where it stands.
fn lease_ttl_ms() -> Result<f64> {
    let path = axs_tests::binary::checkout().join("config/default.toml");
    let text = std::fs::read_to_string(path)?;
    let (_, lease) = text.split_once("[lease]").context("no [lease]")?;
    let line = lease.lines().find(|line| line.starts_with("ttl_ms"));
    let value = line
        .and_then(|line| line.split_once('='))
        .and_then(|(_, value)| value.split_whitespace().next())
        .context("no lease.ttl_ms")?;
    Ok(count(value.parse()?))
}
