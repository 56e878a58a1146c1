//! The base case on a disk whose commits take 5 ms longer, as on a cloud volume, against the base
//! case in turn; and what a team would write instead, one transaction an event, on both disks
//! beside it.

use super::Bench;
use super::baseline::{self, ONE_A_TRANSACTION};
use super::run::run_to_the_end;
use crate::commit_delay::delay_commits;
use crate::load::{Changes, Ending, Pace, Population};
use crate::report::number;
use crate::stage::{CALLERS, Stage, StagePlan};
use anyhow::Result;
use axs_tests::database::Database;
use axs_tests::server::Servers;
use std::time::Duration;

/// What a commit takes longer.
const DELAY: Duration = Duration::from_millis(5);

/// The disks: a word for each in the names of cases and databases, and the delay. The first is what
/// the others are compared with.
const DISKS: [(&str, &str, Option<Duration>); 2] = [
    ("this disk", "slow_disk_0", None),
    ("commits 5 ms longer", "slow_disk_5", Some(DELAY)),
];

/// What a rate is of the rate on the first disk in the same round.
const SHARE: &str = "of this disk's rate, in turn";

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    end_to_end(bench).await?;
    let servers = Servers::from_env()?;
    let mut databases = Vec::new();
    for (_, name, _) in DISKS {
        let name = format!("axs_t_bench_baseline_{name}_{}", std::process::id());
        databases.push(Database::create(&servers, &name).await?);
    }
    let measured = baselines(bench, &databases).await;
    for database in databases {
        Database::drop_by_name(&servers, &database.name).await?;
    }
    measured
}

/// A stage for each disk, so that every connection has the setting from its start.
async fn end_to_end(bench: &mut Bench) -> Result<()> {
    let mut stages = Vec::new();
    for (disk, name, commit_delay) in DISKS {
        let plan = StagePlan {
            commit_delay,
            ..StagePlan::base(name)
        };
        stages.push((disk, Stage::set(plan, bench.screen).await?));
    }
    for round in 1..=bench.effort.runs {
        let mut compared_with = None;
        for (disk, stage) in &stages {
            stage.clear_log().await?;
            let pace = Pace::Closed { callers: CALLERS };
            let plan = stage.load(pace, Ending::After(bench.effort.compared))?;
            let accounts = stage.drawn(Population::Uniform);
            let ran = run_to_the_end(stage, plan, accounts, Changes::One).await?;
            let rate = ran.rate();
            bench.screen.say(&format!(
                "slow_disk: round {round} of {}: end to end, {disk}: {} events/s final",
                bench.effort.runs,
                number(rate)
            ));
            let case = format!("end to end, {disk}");
            ran.add_to(&case, &mut bench.figures);
            ran.add_steps_to(&case, &mut bench.figures);
            let share = rate / *compared_with.get_or_insert(rate);
            bench.figures.add(&case, SHARE, "×", share);
        }
    }
    for (_, stage) in stages {
        stage.strike(true).await?;
    }
    Ok(())
}

async fn baselines(bench: &mut Bench, databases: &[Database]) -> Result<()> {
    for (database, (_, _, delay)) in databases.iter().zip(DISKS) {
        baseline::furnish(database).await?;
        if let Some(delay) = delay {
            delay_commits(database, delay).await?;
        }
    }
    for round in 1..=bench.effort.short_runs {
        for case in &ONE_A_TRANSACTION {
            let mut compared_with = None;
            for (database, (disk, _, _)) in databases.iter().zip(DISKS) {
                let rate = baseline::measure(database, case, bench.effort.baseline).await?;
                bench.screen.say(&format!(
                    "slow_disk: round {round} of {}: {}, {disk}: {} events/s",
                    bench.effort.short_runs,
                    case.name,
                    number(rate)
                ));
                let name = format!("{}, {disk}", case.name);
                bench.figures.add(&name, "committed", "events/s", rate);
                let share = rate / *compared_with.get_or_insert(rate);
                bench.figures.add(&name, SHARE, "×", share);
            }
        }
    }
    Ok(())
}
