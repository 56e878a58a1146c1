//! A part of the fault suite that disturbs no server: `make faults` runs all of it.

use anyhow::{Context, Result, ensure};
use axs_tests::faults::report::Report;
use axs_tests::faults::row::Needs;
use axs_tests::faults::rows;
use axs_tests::faults::run::run;
use std::collections::BTreeSet;

/// Another seed than that of `make faults`.
const SEED: u64 = 2_021;

async fn holds(name: &str) -> Result<()> {
    let row = rows::named(name).with_context(|| format!("no row {name}"))?;
    ensure!(row.needs == Needs::Nothing, "{name} would disturb others");
    let verdicts = [run(row, SEED).await];
    let report = Report {
        seed: SEED,
        verdicts: &verdicts,
    };
    ensure!(report.is_green(), "{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_killed_before_its_answer_loses_nothing() -> Result<()> {
    holds("api-killed-after-commit").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_before_commit_is_replaced_within_the_lease_and_a_second() -> Result<()> {
    holds("leader-killed-before-commit").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_commit_is_found_out() -> Result<()> {
    holds("commit-answer-lost").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_froze_with_the_row_locked_is_ended_and_writes_no_more() -> Result<()> {
    holds("leader-stopped-with-lock").await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_one_key_with_ten_contents_at_once_one_takes_effect() -> Result<()> {
    holds("same-key-other-content").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checker_notices_when_the_token_is_not_checked() -> Result<()> {
    holds("break-token").await
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = rows::all().iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows::all().len());
}
