//! Several consumers on the same partitions: one leads each, and any may die.

use anyhow::{Context, Result};
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::deployment::Deployment;
use axs_tests::replay::{SubmitPlan, submit};
use axs_tests::script::Script;
use axs_tests::session::{SessionPlan, generate};

fn session(seed: u64) -> Script {
    generate(SessionPlan {
        retail_accounts: 60,
        whale_accounts: 6,
        ..SessionPlan::new(3_000, seed)
    })
}

/// The partitions of the layout of tests.
const PARTITIONS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn when_a_consumer_is_killed_the_other_goes_on_and_nothing_is_lost_or_doubled() -> Result<()>
{
    let script = session(11);
    let mut deployment = Deployment::builder("killed")
        .apis(2)
        .consumers(2)
        .start()
        .await?;
    deployment.led_by(PARTITIONS, 2).await?;
    deployment.furnish(&script).await?;
    let clients = deployment.clients();
    let mut victim = deployment.consumers.remove(0);
    let killing = async {
        // In the middle of the work: some is decided, and more is on its way.
        let patience = Patience {
            pause: std::time::Duration::from_millis(2),
            ..Patience::PROCESS
        };
        until("the first results", patience, async || {
            let done = deployment
                .database
                .number("SELECT count(*) FROM balance_change_states WHERE status <> 0")
                .await?;
            Ok(if done > 0 {
                Look::There(())
            } else {
                Look::NotYet("none".to_owned())
            })
        })
        .await?;
        victim.kill()
    };
    let sending = submit(&clients, &script, SubmitPlan::default(), &|_| {});
    let (submission, ()) = futures::future::try_join(sending, killing).await?;
    deployment.led_by(PARTITIONS, 1).await?;
    let replayed = deployment.compare(&script, submission).await?;
    assert!(replayed.outcomes.applied > 1_000);
    let seen = deployment.compare_results().await?;
    assert!(seen.events > 1_000, "{seen:?}");
    assert_eq!(deployment.database.dead_letters().await?, []);
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_told_to_stop_drains_and_gives_its_partitions_up_at_once() -> Result<()> {
    let script = session(12);
    // A lease so long that nobody can wait for its end: only giving it up helps.
    let mut deployment = Deployment::builder("drained")
        .setting("AXS__LEASE__TTL_MS", 200_000)
        .apis(2)
        .consumers(1)
        .start()
        .await?;
    deployment.led_by(PARTITIONS, 1).await?;
    deployment.furnish(&script).await?;
    let submission = submit(
        &deployment.clients(),
        &script,
        SubmitPlan::default(),
        &|_| {},
    )
    .await?;
    let mut first = deployment.consumers.pop().context("a consumer")?;
    let status = first.drain().await?;
    assert!(status.success(), "{status}: {}", first.log_tail());
    let owners = deployment.partitions_by_owner().await?;
    assert!(owners.is_empty(), "leases were kept: {owners:?}");

    deployment.start(0, 1).await?;
    deployment.led_by(PARTITIONS, 1).await?;
    deployment.compare(&script, submission).await?;
    let seen = deployment.compare_results().await?;
    assert!(seen.events > 1_000, "{seen:?}");

    // An API process drains too: what it accepted before is published before it ends.
    let event = crate::stage::deposit(1, "just before the end", "USDT", "1")?;
    deployment.client(1)?.accept(event).await?;
    let mut api = deployment.apis.pop().context("an API")?;
    let status = api.process.drain().await?;
    assert!(status.success(), "{status}: {}", api.process.log_tail());
    deployment.finish().await
}
