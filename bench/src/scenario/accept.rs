//! The write side alone: no consumer runs, and events are logged and published.

use super::Bench;
use super::run::run_until_logged;
use crate::load::{Changes, Ending, Pace, Population};
use crate::report::number;
use crate::stage::{CALLERS, EVENTS_A_REQUEST, Stage, StagePlan};
use anyhow::Result;

/// Cases: name, callers, events of a request.
const CASES: [(&str, usize, usize); 2] = [
    ("requests of 50", CALLERS, EVENTS_A_REQUEST),
    ("requests of 1, 64 callers", 64, 1),
];

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let plan = StagePlan {
        consumers: 0,
        ..StagePlan::base("accept")
    };
    let stage = Stage::set(plan, bench.screen).await?;
    for round in 1..=bench.effort.runs {
        for (case, callers, events_a_request) in CASES {
            stage.clear_undecided_log().await?;
            let pace = Pace::Closed { callers };
            let mut plan = stage.load(pace, Ending::After(bench.effort.case))?;
            plan.events_a_request = events_a_request;
            let accounts = stage.drawn(Population::Uniform);
            let ran = run_until_logged(&stage, plan, accounts, Changes::One).await?;
            bench.screen.say(&format!(
                "accept: round {round} of {}: {case}: {} events/s logged",
                bench.effort.runs,
                number(ran.accepted_rate())
            ));
            ran.add_logged_to(case, &mut bench.figures);
            ran.add_cpu_to(case, &mut bench.figures);
            stage.all_published().await?;
        }
    }
    stage.strike(false).await
}
