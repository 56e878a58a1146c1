//! Submit by gRPC until final in PostgreSQL, sustained: the base case.

use super::Bench;
use super::run::run_to_the_end;
use crate::load::{Changes, Ending, Pace, Population};
use crate::report::number;
use crate::stage::{CALLERS, Stage, StagePlan};
use crate::watch::DiskUse;
use anyhow::Result;

/// The base case's name in tables.
pub const BASE: &str = "base: requests of 50, 1 change, uniform";

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let stage = Stage::set(StagePlan::base("end_to_end"), bench.screen).await?;
    for nth in 1..=bench.effort.runs {
        stage.clear_log().await?;
        let pace = Pace::Closed { callers: CALLERS };
        let plan = stage.load(pace, Ending::After(bench.effort.base))?;
        let accounts = stage.drawn(Population::Uniform);
        let disk_before = DiskUse::of(&stage.deployment).await?;
        let ran = run_to_the_end(&stage, plan, accounts, Changes::One).await?;
        bench.screen.say(&format!(
            "end_to_end: run {nth} of {}: {} events/s final, {} events/s logged",
            bench.effort.runs,
            number(ran.rate()),
            number(ran.accepted_rate())
        ));
        ran.add_to(BASE, &mut bench.figures);
        ran.add_cpu_to(BASE, &mut bench.figures);
        ran.add_steps_to(BASE, &mut bench.figures);
        ran.keep_series(BASE, &mut bench.figures);
        let disk = DiskUse::of(&stage.deployment).await?;
        disk.add_growth_to(&disk_before, BASE, ran.load.accepted, &mut bench.figures);
    }
    bench.sustained = bench.figures.median(BASE, "final");
    stage.strike(true).await
}
