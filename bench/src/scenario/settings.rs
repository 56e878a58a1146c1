//! The base case under other settings of the consumer, each case with a fresh consumer, all cases
//! in turn in each round.

use super::Bench;
use super::run::run_to_the_end;
use crate::load::{Changes, Ending, Pace, Population};
use crate::report::number;
use crate::stage::{CALLERS, Stage, StagePlan};
use anyhow::Result;

/// A case's name, and what differs from the defaults.
const CASES: [(&str, &[(&str, &str)]); 3] = [
    ("as set", &[]),
    (
        "the relay practically off",
        &[("AXS__PROCESSING__RELAY_INTERVAL_MS", "3600000")],
    ),
    (
        "transactions_max = 1: all that waits in one transaction",
        &[("AXS__PROCESSING__TRANSACTIONS_MAX", "1")],
    ),
];

/// Events before each case: enough for most of the accounts to be remembered.
const WARMING_EVENTS: u64 = 100_000;

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let plan = StagePlan {
        consumers: 0,
        ..StagePlan::base("settings")
    };
    let mut stage = Stage::set(plan, bench.screen).await?;
    for round in 1..=bench.effort.short_runs {
        for (case, settings) in CASES {
            stage.clear_log().await?;
            stage.start_consumer(settings).await?;
            // A fresh consumer knows no balance yet.
            let before = stage.stored().await?;
            let warming = stage.submit(WARMING_EVENTS).await?;
            stage.processed(before + warming.accepted).await?;
            let pace = Pace::Closed { callers: CALLERS };
            let plan = stage.load(pace, Ending::After(bench.effort.case))?;
            let accounts = stage.drawn(Population::Uniform);
            let ran = run_to_the_end(&stage, plan, accounts, Changes::One).await?;
            bench.screen.say(&format!(
                "settings: round {round} of {}: {case}: {} events/s final",
                bench.effort.short_runs,
                number(ran.rate())
            ));
            ran.add_to(case, &mut bench.figures);
            ran.add_cpu_to(case, &mut bench.figures);
            stage.stop_consumers().await?;
        }
    }
    stage.strike(true).await
}
