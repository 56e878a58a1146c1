//! The processing side alone: a backlog is logged and published first, then the consumer starts.

use super::Bench;
use super::run::count;
use crate::report::number;
use crate::stage::{Stage, StagePlan};
use crate::watch::{CpuWatch, MetricsPage, until_stored};
use anyhow::{Context, Result};
use std::time::Instant;

const CASE: &str = "uniform, 1 change";

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let plan = StagePlan {
        consumers: 0,
        ..StagePlan::base("drain")
    };
    let mut stage = Stage::set(plan, bench.screen).await?;
    let events = bench.effort.backlog_events;
    for nth in 1..=bench.effort.runs {
        bench.screen.say(&format!(
            "drain: run {nth} of {}: logging {events} events with no consumer",
            bench.effort.runs
        ));
        stage.submit(events).await?;
        stage.all_published().await?;
        drain_once(&mut stage, bench, events).await?;
        stage.stop_consumers().await?;
    }
    stage.strike(true).await
}

async fn drain_once(stage: &mut Stage, bench: &mut Bench, events: u64) -> Result<()> {
    let pool = stage.deployment.database.pool.clone();
    let before = stage.stored().await?;
    let began = Instant::now();
    // Watched from its start on, not only once it is ready.
    let consumer = stage.deployment.spawn_consumer(&[])?;
    stage.deployment.consumers.push(consumer);
    let cpu = CpuWatch::start(stage.processes()?, pool.clone()).await?;
    let first = until_stored(&pool, before + 1).await?;
    let stored_first = stage.stored().await? - before;
    let counted_from = Instant::now();
    let last = until_stored(&pool, before + events).await?;
    let cpu = cpu.end().await?;
    let consumer = stage.deployment.consumers.first().context("no consumer")?;
    let metrics = MetricsPage::read(consumer.ops()).await?;
    let seconds = (last - counted_from).as_secs_f64();
    let rate = count(events - stored_first) / seconds;
    bench
        .screen
        .say(&format!("drain: {} events/s", number(rate)));
    let figures = &mut bench.figures;
    figures.add(CASE, "final, from the first commit on", "events/s", rate);
    let whole = (last - began).as_secs_f64();
    figures.add(
        CASE,
        "final, from the start on",
        "events/s",
        count(events) / whole,
    );
    let cold = (first - began).as_secs_f64() * 1e3;
    figures.add(CASE, "start to first commit", "ms", cold);
    if let Some(mean) = metrics.mean("axs_batch_events") {
        figures.add(CASE, "events a batch", "events", mean);
    }
    cpu.add_to(CASE, events, last - began, figures);
    metrics.add_steps_to(CASE, figures);
    Ok(())
}
