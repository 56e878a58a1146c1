//! The processing side alone: a backlog is logged and published first, then the consumer starts.

use super::Bench;
use super::run::count;
use crate::report::number;
use crate::stage::{Stage, StagePlan};
use crate::watch::{CpuWatch, MetricsPage, stored, until_stored};
use anyhow::{Context, Result};
use axs_tests::process::Process;
use sqlx::PgPool;
use std::time::Instant;

/// Cases, in turn: name, and what differs from the defaults.
const CASES: [(&str, &[(&str, &str)]); 2] = [
    ("uniform, 1 change", &[]),
    (
        "the same, transactions_max = 1",
        &[("AXS__PROCESSING__TRANSACTIONS_MAX", "1")],
    ),
];

/// The rate of a drain.
pub const RATE: &str = "final, from the first commit on";

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let plan = StagePlan {
        consumers: 0,
        ..StagePlan::base("drain")
    };
    let mut stage = Stage::set(plan, bench.screen).await?;
    let events = bench.effort.backlog_events;
    for nth in 1..=bench.effort.runs {
        for (case, settings) in CASES {
            bench.screen.say(&format!(
                "drain: run {nth} of {}: logging {events} events with no consumer",
                bench.effort.runs
            ));
            stage.clear_log().await?;
            stage.submit(events).await?;
            stage.all_published().await?;
            let pool = stage.deployment.database.pool.clone();
            let drain = Drain::before(case, events, pool).await?;
            let consumer = stage.deployment.spawn_consumer(settings)?;
            let rate = drain.run(&mut stage, consumer, bench).await?;
            bench
                .screen
                .say(&format!("drain: {case}: {} events/s", number(rate)));
            stage.stop_consumers().await?;
        }
    }
    stage.strike(true).await
}

/// A backlog that a consumer shall drain.
pub struct Drain<'a> {
    case: &'a str,
    events: u64,
    pool: PgPool,
    stored_before: u64,
    began: Instant,
}

impl<'a> Drain<'a> {
    /// Time counts from here: the consumer is to be started next.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn before(case: &'a str, events: u64, pool: PgPool) -> Result<Self> {
        Ok(Self {
            case,
            events,
            stored_before: stored(&pool).await?,
            pool,
            began: Instant::now(),
        })
    }

    /// Watches the consumer from its start on, not only once it is ready; gives the events a second
    /// from its first commit on.
    ///
    /// # Errors
    /// It does not come to the end.
    pub async fn run(self, stage: &mut Stage, consumer: Process, bench: &mut Bench) -> Result<f64> {
        let Self {
            case,
            events,
            pool,
            stored_before: before,
            began,
        } = self;
        stage.deployment.consumers.push(consumer);
        let cpu = CpuWatch::start(stage.processes()?, pool.clone()).await?;
        let first = until_stored(&pool, before + 1).await?;
        let stored_first = stored(&pool).await? - before;
        let counted_from = Instant::now();
        let last = until_stored(&pool, before + events).await?;
        let cpu = cpu.end().await?;
        let consumer = stage.deployment.consumers.first().context("no consumer")?;
        let metrics = MetricsPage::read(consumer.ops()).await?;
        let seconds = (last - counted_from).as_secs_f64();
        let rate = count(events - stored_first) / seconds;
        let figures = &mut bench.figures;
        figures.add(case, RATE, "events/s", rate);
        let whole = (last - began).as_secs_f64();
        figures.add(
            case,
            "final, from the start on",
            "events/s",
            count(events) / whole,
        );
        let cold = (first - began).as_secs_f64() * 1e3;
        figures.add(case, "start to first commit", "ms", cold);
        if let Some(mean) = metrics.mean("axs_batch_events") {
            figures.add(case, "events a batch", "events", mean);
        }
        cpu.add_to(case, events, last - began, figures);
        metrics.add_steps_to(case, figures);
        Ok(rate)
    }
}
