//! Costs stay flat: the rate of the base case with few accounts and few log rows, and with many of
//! both, in turn. What comes between is shown too: first there are many accounts and no log rows,
//! then the rate is measured after each fifth of the log rows.

use super::Bench;
use super::run::{Ran, count, run_to_the_end};
use crate::fill::{Fill, Model};
use crate::load::{Accounts, Changes, Ending, Pace, Population};
use crate::report::{Series, number};
use crate::stage::{ACCOUNTS, CALLERS, Stage, StagePlan};
use anyhow::Result;
use std::sync::Arc;

/// Steps in which the log rows are added.
const STEPS: i64 = 5;

/// Events before anything is measured: the processes then have their connections, and remember what
/// is in use if it is not too much.
const WARMING_EVENTS: u64 = 100_000;

/// Events before a measurement that follows a fill. A fill ends with a checkpoint, and the first
/// change of a page after one writes the whole page to the WAL. After this many events most of the
/// 120,000 pages of balances have been written so; what is measured then is the steady state, not
/// the minutes after a checkpoint.
const WARMING_EVENTS_AFTER_FILL: u64 = 400_000;

/// Room to remember all accounts of the large deployment: balances for each of its 4 partitions.
/// The small one has the same settings.
const ROOM: [(&str, &str); 2] = [
    ("AXS__WRITE_SIDE__ACCOUNT_CACHE_ENTRIES", "11000000"),
    ("AXS__PROCESSING__MEMORY_BALANCES_MAX", "3000000"),
];

/// What a rate is of the small case's in the same round.
const SHARE: &str = "of the small case's rate, in turn";

/// The points of the plot.
pub const TREND: &str = "rate by log rows";

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let small = Small::set(bench).await?;
    let (accounts, log_rows) = (bench.effort.grown_accounts, bench.effort.grown_log_rows);
    let plan = StagePlan {
        accounts,
        settings: &ROOM,
        ..StagePlan::base("growth_large")
    };
    let mut large = Stage::unopened(plan, bench.screen).await?;
    let fill = Fill::begin(
        &large.deployment.database,
        Model::of(&small.stage.deployment.database).await?,
    )
    .await?;
    bench.screen.say(&format!(
        "growth: filling {} accounts and balances",
        shown(accounts)
    ));
    fill.accounts(1..=accounts).await?;
    large.restart(bench.screen).await?;
    let mut trends = (Vec::new(), Vec::new());
    for step in 0..=STEPS {
        let there = log_rows / STEPS * step;
        if step > 0 {
            let first = log_rows / STEPS * (step - 1) + 1;
            bench
                .screen
                .say(&format!("growth: filling log rows, up to {}", shown(there)));
            fill.events(first..=there).await?;
        }
        let uniform = large.drawn(Population::Uniform);
        warm(&large, uniform, WARMING_EVENTS_AFTER_FILL).await?;
        let few = small.rate(bench).await?.rate();
        let many = measure(bench, &large, large.drawn(Population::Uniform))
            .await?
            .rate();
        bench.screen.say(&format!(
            "growth: {} accounts and {} log rows: {} events/s final; few of both: {}",
            shown(accounts),
            shown(there),
            number(many),
            number(few)
        ));
        let millions = count(there.unsigned_abs()) / 1e6;
        trends.0.push((millions, few));
        trends.1.push((millions, many));
        let case = format!("{} accounts, {} log rows", shown(accounts), shown(there));
        if step < STEPS {
            bench.figures.add(&case, "final", "events/s", many);
            bench.figures.add(&case, SHARE, "×", many / few);
        }
    }
    for (case, points) in [
        (Small::NAME.to_owned(), trends.0),
        (format!("{} accounts", shown(accounts)), trends.1),
    ] {
        bench.figures.keep(Series {
            case,
            measure: TREND.to_owned(),
            unit: "events/s".to_owned(),
            points,
        });
    }
    compare(bench, &small, &large).await?;
    small.stage.strike(true).await?;
    large.strike(true).await
}

/// The two ends, and how much of the difference is the number of accounts that are in use.
async fn compare(bench: &mut Bench, small: &Small, large: &Stage) -> Result<()> {
    let size = format!(
        "{} accounts, {} log rows",
        shown(bench.effort.grown_accounts),
        shown(bench.effort.grown_log_rows)
    );
    let in_use: Arc<[i64]> = (1..=ACCOUNTS).collect();
    for round in 1..=bench.effort.runs {
        let few = small.rate(bench).await?;
        let many = measure(bench, large, large.drawn(Population::Uniform)).await?;
        let in_use = Accounts::new(Arc::clone(&in_use), Population::Uniform);
        // After so many others, they are remembered again first.
        warm(large, in_use.clone(), WARMING_EVENTS).await?;
        let some = measure(bench, large, in_use).await?;
        let cases = [
            (Small::NAME.to_owned(), few),
            (size.clone(), many),
            (format!("{size}, {} accounts in use", shown(ACCOUNTS)), some),
        ];
        let mut said = String::new();
        let compared_with = cases.first().map_or(1.0, |(_, ran)| ran.rate());
        for (case, ran) in cases {
            ran.add_to(&case, &mut bench.figures);
            ran.add_cpu_to(&case, &mut bench.figures);
            ran.add_steps_to(&case, &mut bench.figures);
            let share = ran.rate() / compared_with;
            bench.figures.add(&case, SHARE, "×", share);
            said.push_str(&format!("; {case}: {}", number(ran.rate())));
        }
        bench.screen.say(&format!(
            "growth: round {round} of {}: events/s final{said}",
            bench.effort.runs
        ));
    }
    Ok(())
}

/// The deployment with few of both.
struct Small {
    stage: Stage,
}

impl Small {
    const NAME: &'static str = "100,000 accounts, few log rows";

    async fn set(bench: &Bench) -> Result<Self> {
        let plan = StagePlan {
            settings: &ROOM,
            ..StagePlan::base("growth_small")
        };
        let stage = Stage::set(plan, bench.screen).await?;
        Ok(Self { stage })
    }

    /// Measures it. Its log rows are taken away before, so that they stay few.
    async fn rate(&self, bench: &Bench) -> Result<Ran> {
        self.stage.clear_log().await?;
        measure(bench, &self.stage, self.stage.drawn(Population::Uniform)).await
    }
}

async fn warm(stage: &Stage, accounts: Accounts, events: u64) -> Result<()> {
    let before = stage.stored().await?;
    let warming = stage.submit_for(accounts, events).await?;
    stage.processed(before + warming.accepted).await
}

async fn measure(bench: &Bench, stage: &Stage, accounts: Accounts) -> Result<Ran> {
    let pace = Pace::Closed { callers: CALLERS };
    let plan = stage.load(pace, Ending::After(bench.effort.case))?;
    run_to_the_end(stage, plan, accounts, Changes::One).await
}

fn shown(rows: i64) -> String {
    if rows == 0 {
        return "no".to_owned();
    }
    number(count(rows.unsigned_abs()))
}
