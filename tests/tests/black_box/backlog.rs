//! Too much waits: for Kafka, or to be decided.

use crate::stage::{cast, deposit, final_state};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::{AckLevel, EventStatus, RefusalCode, submit_result};
use axs_tests::client::{ApiClient, refusal_code};
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::deployment::Deployment;
use axs_tests::gate::Gate;
use axs_tests::ops;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Places of the publish window in these tests; the smallest that the settings allow.
const WINDOW: usize = 100;

/// Events of one request.
const BATCH: usize = 10;

/// Account 1's deposits `from..to`, each of its own amount, so that the order shows in the entries.
async fn send(
    client: &ApiClient,
    from: usize,
    to: usize,
) -> Result<Result<Vec<submit_result::Outcome>, Status>> {
    let events: Result<Vec<_>> = (from..to)
        .map(|number| deposit(1, &format!("d{number}"), "USDT", "1"))
        .collect();
    let answered = client.try_submit(events?, AckLevel::Logged).await;
    Ok(match answered {
        Err(status) => Err(status),
        Ok(results) => Ok(results
            .into_iter()
            .map(|result| result.outcome.context("an outcome"))
            .collect::<Result<_>>()?),
    })
}

fn says_when_to_try_again(status: &Status) -> Result<()> {
    ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
    let retry = status.get_details_retry_info().context("RetryInfo")?;
    ensure!(retry.retry_delay.is_some_and(|delay| !delay.is_zero()));
    Ok(())
}

/// The log ids of account 1's deposits, in the order in which they took effect.
async fn in_order_of_effect(deployment: &Deployment) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT s.idempotency_key FROM ledger_entries e JOIN balance_change_states s USING (log_id) \
         WHERE e.account_id = 1 ORDER BY e.version",
    )
    .fetch_all(&deployment.database.pool)
    .await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kafka_is_away_events_are_logged_up_to_the_window_and_published_in_order_after_it()
-> Result<()> {
    let builder = Deployment::builder("kafka_away")
        .setting("AXS__WRITE_SIDE__PUBLISH_WINDOW_EVENTS", WINDOW)
        .setting("AXS__WRITE_SIDE__BATCH_ITEMS_MAX", WINDOW);
    let mut deployment = builder.prepare().await?;
    builder.lay_out(&deployment).await?;
    deployment.start(0, 1).await?;
    let mut gate = Gate::closed_to_broker(&deployment.servers.brokers)?;
    gate.open().await?;
    let through = gate.address().to_string();
    let mut api = deployment.spawn_api(&[("AXS__KAFKA__BROKERS", &through)])?;
    api.process.ready().await?;
    deployment.apis.push(api);
    deployment.furnish(&cast()).await?;
    let client = deployment.client(0)?;
    let mut sent = 0;
    for outage in 0..2 {
        // In the middle of the load, so that requests to the broker are on their way.
        let refused = loop {
            if sent >= BATCH * (2 + outage * 20) {
                gate.shut();
            }
            match send(&client, sent, sent + BATCH).await? {
                Ok(outcomes) => {
                    ensure!(
                        outcomes.iter().all(|it| refusal_code(it).is_none()),
                        "{outcomes:?}"
                    );
                    sent += BATCH;
                    ensure!(sent < 100 * WINDOW, "the window has no bound");
                }
                Err(status) => break status,
            }
        };
        says_when_to_try_again(&refused)?;
        let full = send(&client, sent, sent + BATCH).await?;
        says_when_to_try_again(&full.err().context("a full window takes nothing")?)?;
        gate.open().await?;
        until("the window to have room", Patience::PROCESS, async || {
            Ok(match send(&client, sent, sent + BATCH).await? {
                Ok(_) => Look::There(()),
                Err(status) => Look::NotYet(status.to_string()),
            })
        })
        .await?;
        sent += BATCH;
    }
    deployment.all_final().await?;
    let expected: Vec<String> = (0..sent).map(|number| format!("d{number}")).collect();
    assert_eq!(in_order_of_effect(&deployment).await?, expected);
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_with_too_much_to_decide_takes_nothing_until_it_is_decided() -> Result<()> {
    const BOUND: usize = 40;
    let mut deployment = Deployment::builder("backlog")
        .setting("AXS__WRITE_SIDE__BACKLOG_EVENTS_MAX", BOUND)
        .apis(1)
        .start()
        .await?;
    deployment.furnish(&cast()).await?;
    let client = deployment.client(0)?;
    // Nobody decides: no consumer runs.
    let mut sent = 0;
    until("the backlog to be full", Patience::PROCESS, async || {
        Ok(match send(&client, sent, sent + BATCH).await? {
            Err(status) => {
                says_when_to_try_again(&status)?;
                Look::There(())
            }
            Ok(outcomes) => {
                ensure!(
                    outcomes.iter().all(|it| refusal_code(it).is_none()),
                    "{outcomes:?}"
                );
                sent += BATCH;
                Look::NotYet(format!("{sent} were taken"))
            }
        })
    })
    .await?;
    ensure!(sent >= BOUND, "only {sent} were taken");

    // Another partition is not concerned: account 101 lives in a pool of its own.
    let both = vec![
        deposit(1, "refused", "USDT", "1")?,
        deposit(101, "taken", "USDT", "1")?,
    ];
    let results = client.try_submit(both, AckLevel::Logged).await?;
    let outcomes: Vec<_> = results.into_iter().filter_map(|it| it.outcome).collect();
    let [
        submit_result::Outcome::Refused(refused),
        submit_result::Outcome::Accepted(taken),
    ] = &outcomes[..]
    else {
        anyhow::bail!("{outcomes:?}");
    };
    assert_eq!(refused.code(), RefusalCode::BacklogFull);
    ensure!(refused.retry_after_msec > 0, "{refused:?}");
    let page = ops::get(deployment.apis[0].process.ops(), "/metrics").await?;
    ensure!(
        page.body.contains("axs_backlog_events{"),
        "no metric: {}",
        page.body
    );

    deployment.start(0, 1).await?;
    until(
        "the partition to take again",
        Patience::PROCESS,
        async || {
            Ok(match send(&client, sent, sent + BATCH).await? {
                Ok(_) => Look::There(()),
                Err(status) => Look::NotYet(status.to_string()),
            })
        },
    )
    .await?;
    sent += BATCH;
    deployment.all_final().await?;
    // What was refused has no log row and never takes effect.
    let found = client.event_by_key(1, "refused").await;
    assert_eq!(found.err().context("no such event")?.code(), Code::NotFound);
    let expected: Vec<String> = (0..sent).map(|number| format!("d{number}")).collect();
    assert_eq!(in_order_of_effect(&deployment).await?, expected);
    let state = final_state(&deployment, &taken.log_id).await?;
    assert_eq!(state.status(), EventStatus::Applied);
    deployment.finish().await
}
