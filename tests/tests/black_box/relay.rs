//! What never reached Kafka is published from the log, once.

use crate::stage::{balance, cast, deposit};
use anyhow::{Result, ensure};
use axs_proto::v1::{AckLevel, EventStatus, submit_result};
use axs_tests::deployment::{Deployment, DeploymentBuilder};
use axs_tests::port;

/// A relay that does not wait long: its grace must be longer than any statement.
pub fn with_quick_relay(name: &str) -> DeploymentBuilder {
    Deployment::builder(name)
        .setting("AXS__DATABASE__STATEMENT_TIMEOUT_MS", 2_000)
        .setting("AXS__PROCESSING__RELAY_GRACE_MS", 4_000)
        .setting("AXS__PROCESSING__RELAY_INTERVAL_MS", 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_api_had_accepted_and_not_published_takes_effect_once() -> Result<()> {
    let builder = with_quick_relay("relay");
    let mut deployment = builder.prepare().await?;
    builder.lay_out(&deployment).await?;
    let nowhere = port::free()?.to_string();
    let mut api = deployment.spawn_api(&[("AXS__KAFKA__BROKERS", &nowhere)])?;
    api.process.ready().await?;
    deployment.apis.push(api);
    deployment.furnish(&cast()).await?;

    let mut events = Vec::new();
    for account in 1..=20 {
        for key in ["first", "second"] {
            events.push(deposit(account, key, "USDT", "2.5")?);
        }
    }
    let answered = deployment
        .client(0)?
        .submit(&events, AckLevel::Logged)
        .await?;
    for result in &answered.results {
        ensure!(
            matches!(result.outcome, Some(submit_result::Outcome::Accepted(_))),
            "{result:?}"
        );
    }
    deployment.apis[0].process.kill()?;
    deployment.apis.clear();

    deployment.start(1, 1).await?;
    deployment.all_final().await?;
    let again = deployment
        .client(0)?
        .submit(&events, AckLevel::Logged)
        .await?;
    for result in again.results {
        let Some(submit_result::Outcome::Accepted(accepted)) = result.outcome else {
            anyhow::bail!("a replay was not accepted");
        };
        assert!(accepted.duplicate, "{accepted:?}");
        let status = accepted.state.map(|state| state.status());
        assert_eq!(status, Some(EventStatus::Applied));
    }
    for account in 1..=20 {
        assert_eq!(balance(&deployment, account, "USDT").await?, ["5", "0"]);
    }
    let entries = deployment
        .database
        .number("SELECT count(*) FROM ledger_entries")
        .await?;
    assert_eq!(entries, 40);
    assert_eq!(deployment.database.dead_letters().await?, []);
    deployment.finish().await
}
