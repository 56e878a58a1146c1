//! The result topic, and what a dead leader leaves to its successor.

use crate::stage::{apply, deployment, deposit};
use anyhow::{Context, Result};
use axs_proto::v1::{ReadConsistency, ReadSource};
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::deployment::Deployment;
use axs_tests::replay::{SubmitPlan, submit};
use axs_tests::session::{SessionPlan, generate};
use std::time::Duration;

/// Far below the hour for which the accounts below were filled.
const PROMPTLY: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn every_final_event_has_one_result_in_the_order_of_decisions_with_its_balances() -> Result<()>
{
    let script = generate(SessionPlan {
        retail_accounts: 60,
        whale_accounts: 6,
        ..SessionPlan::new(2_000, 21)
    });
    let mut deployment = Deployment::builder("results")
        .apis(1)
        .consumers(1)
        .start()
        .await?;
    deployment.furnish(&script).await?;
    let clients = deployment.clients();
    let submission = submit(&clients, &script, SubmitPlan::default(), &|_| {}).await?;
    let replayed = deployment.compare(&script, submission).await?;
    let seen = deployment.compare_results().await?;
    assert!(replayed.outcomes.applied > 500 && replayed.outcomes.rejected > 0);
    assert_eq!(
        u64::try_from(seen.events)?,
        replayed.outcomes.applied + replayed.outcomes.rejected
    );
    assert_eq!(seen.copies, 0, "nothing went wrong, so nothing came twice");
    // An orderly end leaves nothing to be sent again.
    deployment.stop().await?;
    let left = "SELECT count(*) FROM partition_leader_locks WHERE results_offset < stored_offset";
    assert_eq!(deployment.database.number(left).await?, 0);
    deployment.start(1, 1).await?;
    apply(&deployment, deposit(1, "after", "USDT", "1")?).await?;
    assert_eq!(deployment.compare_results().await?.copies, 0);
    deployment.finish().await
}

/// What the cache itself holds of an account, once it answers.
async fn cached(deployment: &Deployment, account: i64) -> Result<String> {
    until("the cache to answer", Patience::PROCESS, async || {
        let client = deployment.client(0)?;
        let read = client.balances(&[account], ReadConsistency::Cached).await?;
        let read = read.into_iter().next().context("no account")?;
        if read.source() != ReadSource::Cache {
            return Ok(Look::NotYet("it was filled just now".to_owned()));
        }
        let mut balances = read.balances.into_iter();
        let found = balances.find(|balance| balance.currency_code == "USDT");
        Ok(Look::There(
            found.map_or("0".to_owned(), |balance| balance.available),
        ))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_leader_had_committed_and_not_sent_its_successor_sends() -> Result<()> {
    let mut deployment = Deployment::builder("made_good")
        .setting("AXS__CACHE__FILL_TTL_S", 3_600)
        .apis(1)
        .start()
        .await?;
    deployment.furnish(&crate::stage::cast()).await?;
    // A leader whose results and cache writes go nowhere; it decides all the same. It is let in as
    // by a layout of before result topics were kept.
    sqlx::query("UPDATE layout SET results_topic = NULL")
        .execute(&deployment.database.pool)
        .await?;
    let mut victim = deployment.spawn_consumer(&[
        ("AXS__KAFKA__RESULTS_TOPIC", "axs-t-nobody-made-this"),
        ("AXS__CACHE__URL", "redis://127.0.0.1:1/"),
    ])?;
    for account in [1, 2, 101] {
        // The first read fills the cache with what stands before.
        assert_eq!(cached(&deployment, account).await?, "0");
        apply(&deployment, deposit(account, "in", "USDT", "5")?).await?;
        assert_eq!(cached(&deployment, account).await?, "0", "nobody told it");
    }
    victim.kill()?;
    let out = "SELECT max(results_offset) FROM partition_leader_locks";
    assert_eq!(deployment.database.number(out).await?, 0);

    deployment.start(0, 1).await?;
    let seen = deployment.compare_results().await?;
    assert_eq!(seen.events, 3);
    for account in [1, 2, 101] {
        until("the cache to be told", Patience::of(PROMPTLY), async || {
            let available = cached(&deployment, account).await?;
            Ok(if available == "5" {
                Look::There(())
            } else {
                Look::NotYet(available)
            })
        })
        .await?;
    }
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_fell_behind_is_caught_up_and_copies_are_the_same() -> Result<()> {
    let mut deployment = deployment("caught_up", 1, 1).await?;
    for number in 0..5 {
        let event = deposit(number % 3 + 1, &format!("in-{number}"), "USDT", "5")?;
        apply(&deployment, event).await?;
    }
    assert_eq!(deployment.compare_results().await?.copies, 0);
    let mut victim = deployment.consumers.remove(0);
    victim.kill()?;
    sqlx::query("UPDATE partition_leader_locks SET results_offset = 0")
        .execute(&deployment.database.pool)
        .await?;
    deployment.start(0, 1).await?;
    apply(&deployment, deposit(1, "after", "USDT", "1")?).await?;
    until("everything again", Patience::PROCESS, async || {
        let seen = deployment.compare_results().await?;
        Ok(match seen.copies {
            5.. => Look::There(()),
            fewer => Look::NotYet(format!("{fewer} copies")),
        })
    })
    .await?;
    deployment.finish().await
}
