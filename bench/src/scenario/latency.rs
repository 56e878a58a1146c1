//! Submit → LOGGED, → final and told, → visible in the cache, in an open loop: requests are due by
//! a schedule, and latency counts from there.

use super::Bench;
use super::run::{add_percentiles, count, run_to_the_end};
use crate::load::{Accounts, Changes, Ending, FUNDED, LoadPlan, Pace, Population, start};
use crate::report::number;
use crate::stage::{CALLERS, Stage, StagePlan, writer};
use crate::watch::{CpuWatch, DueTimes, ResultWatch, commits, follow, until_stored};
use anyhow::Result;
use std::sync::Arc;

/// Shares of the sustained rate.
const LOADS: [(f64, &str); 3] = [
    (0.1, "10 % of the sustained rate"),
    (0.5, "50 % of the sustained rate"),
    (0.8, "80 % of the sustained rate"),
];

/// Accounts that only followed events use: each has seconds between two of them.
const FOLLOWED_ACCOUNTS: usize = 100;

/// One caller with one event at a time, and nothing else.
const IDLE: &str = "idle: one caller, requests of 1";

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let stage = Stage::set(StagePlan::base("latency"), bench.screen).await?;
    let sustained = match bench.sustained {
        Some(sustained) => sustained,
        None => find_sustained(&stage, bench).await?,
    };
    for round in 1..=bench.effort.short_runs {
        idle(&stage, bench).await?;
        for (share, case) in LOADS {
            let pace = Pace::Open {
                events_per_second: sustained * share,
            };
            let plan = stage.load(pace, Ending::After(bench.effort.latency))?;
            let p50 = one_load(&stage, bench, plan, case).await?;
            bench.screen.say(&format!(
                "latency: round {round} of {}: {case}: final p50 {} ms",
                bench.effort.short_runs,
                number(p50)
            ));
        }
    }
    stage.strike(true).await
}

async fn find_sustained(stage: &Stage, bench: &Bench) -> Result<f64> {
    bench.screen.say("latency: looking for the sustained rate");
    let pace = Pace::Closed { callers: CALLERS };
    let plan = stage.load(pace, Ending::After(bench.effort.case * 2))?;
    let accounts = stage.drawn(Population::Uniform);
    let ran = run_to_the_end(stage, plan, accounts, Changes::One).await?;
    Ok(ran.rate())
}

/// An idle system, beside what one commit of this disk takes.
async fn idle(stage: &Stage, bench: &mut Bench) -> Result<()> {
    let time = bench.effort.case / 2;
    let commits = commits(&stage.deployment.database, time).await?;
    add_percentiles(
        IDLE,
        "one commit of one row by SQL",
        &commits,
        &mut bench.figures,
    );
    let pace = Pace::Closed { callers: 1 };
    let mut plan = stage.load(pace, Ending::After(time))?;
    plan.events_a_request = 1;
    one_load(stage, bench, plan, IDLE).await?;
    Ok(())
}

/// Runs one load and adds what it showed; gives the median until final, in ms.
async fn one_load(stage: &Stage, bench: &mut Bench, plan: LoadPlan, case: &str) -> Result<f64> {
    stage.clear_log().await?;
    let deployment = &stage.deployment;
    let before = stage.stored().await?;
    let (tag, ending) = (plan.tag, plan.ending);
    let due = Arc::new(DueTimes::default());
    let results = ResultWatch::start(
        deployment.servers.brokers.clone(),
        deployment.results.name.clone(),
        tag,
        Arc::clone(&due),
    )
    .await?;
    // The followed accounts are nobody else's.
    let metrics_before = stage.metrics().await?;
    let cpu = CpuWatch::start(stage.processes()?, deployment.database.pool.clone()).await?;
    let split = stage.accounts.len().saturating_sub(FOLLOWED_ACCOUNTS);
    let (loaded, followed) = stage.accounts.split_at(split);
    let accounts = Accounts::new(loaded.to_vec(), Population::Uniform);
    let load = start(plan, writer(accounts, Changes::One), move |_, at| {
        due.note(at);
    })?;
    let time = match ending {
        Ending::After(time) => time,
        Ending::Events(_) => bench.effort.case,
    };
    let visible = follow(deployment.client(0)?, followed.to_vec(), FUNDED, time).await?;
    let load = load.outcome().await?;
    let cpu = cpu.end().await?;
    let metrics = stage.metrics().await?.since(&metrics_before);
    let told = results.outcome(load.accepted).await?;
    until_stored(
        &deployment.database.pool,
        before + load.accepted + visible.len(),
    )
    .await?;
    let figures = &mut bench.figures;
    let seconds = (load.ended - load.began).as_secs_f64();
    figures.add(
        case,
        "submitted",
        "events/s",
        count(load.accepted) / seconds,
    );
    add_percentiles(case, "logged", &load.logged, figures);
    add_percentiles(case, "final and told", &told, figures);
    // Few are followed, so no p99.9.
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let micros = visible.value_at_quantile(quantile);
        figures.add(case, &format!("visible, {name}"), "ms", count(micros) / 1e3);
    }
    for (measure, metric, unit) in [
        ("events a batch", "axs_batch_events", "events"),
        ("events a log commit", "axs_log_commit_events", "events"),
    ] {
        if let Some(mean) = metrics.mean(metric) {
            figures.add(case, measure, unit, mean);
        }
    }
    let took = load.ended - load.began;
    cpu.add_to(case, load.accepted, took, figures);
    metrics.add_steps_to(case, figures);
    Ok(count(told.value_at_quantile(0.5)) / 1e3)
}
