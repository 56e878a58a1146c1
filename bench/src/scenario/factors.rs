//! One factor varied at a time around the base case, all cases in turn in each round.

use super::Bench;
use super::end_to_end::BASE;
use super::run::run_to_the_end;
use crate::load::{Accounts, Changes, Ending, Pace, Population};
use crate::report::number;
use crate::stage::{CALLERS, EVENTS_A_REQUEST, Stage, StagePlan, other_currencies};
use anyhow::{Context, Result};

/// What differs from the base case.
struct Case {
    name: &'static str,
    pace: Pace,
    events_a_request: usize,
    population: Population,
    accounts: Which,
    changes: Changes,
}

enum Which {
    All,
    OneShard,
    One,
}

fn cases() -> Vec<Case> {
    let base = |name| Case {
        name,
        pace: Pace::Closed { callers: CALLERS },
        events_a_request: EVENTS_A_REQUEST,
        population: Population::Uniform,
        accounts: Which::All,
        changes: Changes::One,
    };
    let sized = |name, events_a_request| Case {
        events_a_request,
        ..base(name)
    };
    vec![
        base(BASE),
        sized("requests of 1", 1),
        sized("requests of 10", 10),
        sized("requests of 100", 100),
        Case {
            pace: Pace::Closed { callers: 64 },
            ..sized("requests of 1, 64 callers", 1)
        },
        Case {
            pace: Pace::Client { callers: 64 },
            ..base("the client crate, 64 callers")
        },
        Case {
            pace: Pace::Client { callers: 256 },
            ..base("the client crate, 256 callers")
        },
        Case {
            changes: Changes::Three(["C00".to_owned(), "C01".to_owned()]),
            ..base("3 changes")
        },
        Case {
            population: Population::Zipf,
            ..base("Zipf")
        },
        Case {
            population: Population::Hot,
            ..base("90 % on one account")
        },
        Case {
            accounts: Which::OneShard,
            ..base("all accounts on one shard")
        },
        Case {
            accounts: Which::One,
            changes: Changes::AnyOf(other_currencies()),
            ..base("one account, 100 currencies")
        },
    ]
}

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let stage = Stage::set(StagePlan::base("factors"), bench.screen).await?;
    for round in 1..=bench.effort.short_runs {
        for case in cases() {
            stage.clear_log().await?;
            let mut plan = stage.load(case.pace, Ending::After(bench.effort.case))?;
            plan.events_a_request = case.events_a_request;
            let ids = accounts_of(&stage, &case.accounts)?;
            let accounts = Accounts::new(ids, case.population);
            let ran = run_to_the_end(&stage, plan, accounts, case.changes.clone()).await?;
            bench.screen.say(&format!(
                "factors: round {round} of {}: {}: {} events/s final",
                bench.effort.short_runs,
                case.name,
                number(ran.rate())
            ));
            ran.add_to(case.name, &mut bench.figures);
            ran.add_cpu_to(case.name, &mut bench.figures);
            ran.add_steps_to(case.name, &mut bench.figures);
        }
    }
    stage.strike(true).await
}

fn accounts_of(stage: &Stage, which: &Which) -> Result<Vec<i64>> {
    Ok(match which {
        Which::All => stage.accounts.to_vec(),
        Which::One => vec![1],
        Which::OneShard => {
            let fullest = stage.shards.values().max_by_key(|ids| ids.len());
            fullest.context("no shard has accounts")?.clone()
        }
    })
}
