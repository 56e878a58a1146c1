//! Baseline (c), the usual bulk form (COPY into an UNLOGGED table, UPDATE … FROM it), as a whole
//! drain of one backlog through the same consumer, with nothing replaced but what writes a batch.
//! Ours beside it, batch size by batch size.
//!
//! The backlog is logged once. Each drain begins with a copy of the database as it stood then, and
//! reads the same records of the topic, so that all of them do the very same work.

use super::Bench;
use super::drain::Drain;
use crate::report::number;
use crate::stage::{Stage, StagePlan, all_applied};
use anyhow::{Context, Result, ensure};
use axs_tests::cache;
use axs_tests::database::Database;
use sqlx::Executor;
use std::env;
use std::path::Path;

/// Events of a batch.
const SIZES: [usize; 3] = [200, 1_000, 5_000];

/// The build of the consumer whose batches are written by the report's form.
const REFERENCE: &str = "bootstrap-reference";

/// How many times as fast as (c) ours is, with the same backlog and in the same round.
const RATIO: &str = "as fast as (c), in turn";

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let reference = env::current_exe()?.with_file_name(REFERENCE);
    ensure!(
        reference.is_file(),
        "no file at {}: `make bench` builds it",
        reference.display()
    );
    let plan = StagePlan {
        consumers: 0,
        ..StagePlan::base("baseline_bulk")
    };
    let mut stage = Stage::set(plan, bench.screen).await?;
    let events = bench.effort.copied_events;
    bench.screen.say(&format!(
        "baseline_bulk: logging {events} events with no consumer"
    ));
    stage.submit(events).await?;
    stage.all_published().await?;
    // Nobody may be connected to a database that is copied.
    stage.stop_apis().await?;
    // Every copy has the same statistics, and nothing that autovacuum would have to do at once.
    let pool = &stage.deployment.database.pool;
    pool.execute("VACUUM (ANALYZE)").await?;
    for round in 1..=bench.effort.short_runs {
        for size in SIZES {
            let ours = format!("ours, batches of {size}");
            let rate = drain_copy(&mut stage, bench, &ours, size, None).await?;
            let case = format!("(c), batches of {size}");
            let their_rate =
                drain_copy(&mut stage, bench, &case, size, Some(reference.as_path())).await?;
            bench.figures.add(&ours, RATIO, "×", rate / their_rate);
            bench.screen.say(&format!(
                "baseline_bulk: round {round} of {}: batches of {size}: {} events/s, (c) {}",
                bench.effort.short_runs,
                number(rate),
                number(their_rate)
            ));
        }
    }
    stage.strike(false).await
}

/// Drains the backlog in a copy of the database; gives the rate.
async fn drain_copy(
    stage: &mut Stage,
    bench: &mut Bench,
    case: &str,
    size: usize,
    reference: Option<&Path>,
) -> Result<f64> {
    let servers = stage.deployment.servers.clone();
    let copy = stage.deployment.database.copy(&servers).await?;
    let drained = drain_in(stage, bench, case, size, reference, &copy).await;
    // Its consumer is stopped, or dies with the stage.
    copy.pool.close().await;
    Database::drop_by_name(&servers, &copy.name).await?;
    // The copy was another history, so nobody reads what it left in the cache.
    cache::clear(&servers.redis, &stage.deployment.database.name).await?;
    drained.with_context(|| case.to_owned())
}

async fn drain_in(
    stage: &mut Stage,
    bench: &mut Bench,
    case: &str,
    size: usize,
    reference: Option<&Path>,
    copy: &Database,
) -> Result<f64> {
    // The copy's pages are written now, and not while its drain is measured.
    copy.pool.execute("CHECKPOINT").await?;
    let (url, size) = (copy.url.to_string(), size.to_string());
    let settings = [
        ("AXS__DATABASE__URL", url.as_str()),
        ("AXS__PROCESSING__BATCH_EVENTS_MAX", size.as_str()),
    ];
    let drain = Drain::before(case, bench.effort.copied_events, copy.pool.clone()).await?;
    let consumer = match reference {
        None => stage.deployment.spawn_consumer(&settings)?,
        Some(binary) => stage.deployment.spawn_consumer_of(binary, &settings)?,
    };
    let drained = drain.run(stage, consumer, bench).await;
    if drained.is_err() {
        // What it said last is said here: its stage goes on.
        for consumer in stage.deployment.consumers.drain(..) {
            bench.screen.say(&consumer.log_tail());
        }
        return drained;
    }
    stage.stop_consumers().await?;
    all_applied(copy).await?;
    drained
}
