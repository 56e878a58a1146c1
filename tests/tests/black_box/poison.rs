//! Records written straight to the topic, behind the API's back.

use crate::stage::{balance, cast, deposit};
use anyhow::{Context, Result};
use axs_proto::v1::{AckLevel, BalanceChangeEnvelope, BalanceChangeEvent, submit_result};
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::deployment::Deployment;
use prost::Message;

/// Where an account's events go.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct Home {
    shard_id: i32,
    partition: i32,
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_no_api_wrote_have_no_effect_and_later_events_are_unaffected() -> Result<()> {
    let mut deployment = Deployment::builder("poison").apis(1).start().await?;
    deployment.furnish(&cast()).await?;
    let home = home(&deployment, 1).await?;
    let elsewhere = (home.partition + 1) % 3;

    // Two events are logged and published; nobody reads the topic yet.
    let first = deposit(1, "first", "USDT", "10")?;
    let second = deposit(1, "second", "USDT", "20")?;
    publish(&deployment, &[first, second]).await?;
    let record_of_first = record(&deployment, "first").await?;
    let record_of_second = record(&deployment, "second").await?;

    let topic = &deployment.topic;
    let garbage = topic
        .write(home.partition, "1", b"\xff\x00 no envelope")
        .await?;
    let astray = topic.write(elsewhere, "1", &record_of_first).await?;
    let unlogged = topic
        .write_message(
            home.partition,
            "1",
            &unlogged(home, deposit(1, "forged", "USDT", "1000")?),
        )
        .await?;
    let altered = topic
        .write_message(
            home.partition,
            "1",
            &with_amount(&record_of_second, "5000")?,
        )
        .await?;
    let copies = [record_of_second.as_slice(), record_of_second.as_slice()];
    topic.write_all(home.partition, "1", &copies).await?;
    publish(&deployment, &[deposit(1, "later", "USDT", "3")?]).await?;

    deployment.start(0, 1).await?;
    deployment.all_final().await?;
    assert_eq!(balance(&deployment, 1, "USDT").await?, ["33", "0"]);

    // Once they are final, copies are as harmless as before.
    let more = [record_of_first.as_slice(), record_of_second.as_slice()];
    deployment
        .topic
        .write_all(home.partition, "1", &more)
        .await?;
    publish(&deployment, &[deposit(1, "last", "USDT", "4")?]).await?;
    deployment.all_final().await?;
    assert_eq!(balance(&deployment, 1, "USDT").await?, ["37", "0"]);

    let expected = {
        let mut rows = vec![
            (home.partition, garbage, "UNDECODABLE".to_owned()),
            (home.partition, unlogged, "NO_LOG_ROW".to_owned()),
            (home.partition, altered, "DIFFERS_FROM_LOG".to_owned()),
            (elsewhere, astray, "WRONG_PARTITION".to_owned()),
        ];
        rows.sort();
        rows
    };
    let found = until("four dead letters", Patience::PROCESS, async || {
        let found = deployment.database.dead_letters().await?;
        Ok(if found.len() < expected.len() {
            Look::NotYet(format!("{found:?}"))
        } else {
            Look::There(found)
        })
    })
    .await?;
    assert_eq!(found, expected);
    let kept: Vec<u8> =
        sqlx::query_scalar("SELECT payload FROM dead_letters WHERE reason = 'UNDECODABLE'")
            .fetch_one(&deployment.database.pool)
            .await?;
    assert_eq!(
        kept, b"\xff\x00 no envelope",
        "a dead letter keeps its bytes"
    );
    let entries = deployment
        .database
        .number("SELECT count(*) FROM ledger_entries")
        .await?;
    assert_eq!(entries, 4);
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_record_of_a_waiting_event_is_a_dead_letter_and_the_event_still_takes_effect()
-> Result<()> {
    // The API can't reach Kafka, so that its event waits in the log; the relay publishes it.
    let builder = crate::relay::with_quick_relay("forged");
    let mut deployment = builder.prepare().await?;
    builder.lay_out(&deployment).await?;
    let nowhere = axs_tests::port::free()?.to_string();
    let mut api = deployment.spawn_api(&[("AXS__KAFKA__BROKERS", &nowhere)])?;
    api.process.ready().await?;
    deployment.apis.push(api);
    deployment.furnish(&cast()).await?;

    let event = deposit(1, "waiting", "USDT", "10")?;
    let log_id = deployment.client(0)?.accept(event.clone()).await?;
    let home = home(&deployment, 1).await?;
    let (logged_at_usec,): (i64,) = sqlx::query_as(
        "SELECT (extract(epoch FROM logged_at) * 1000000)::bigint FROM balance_change_states",
    )
    .fetch_one(&deployment.database.pool)
    .await?;
    let forged = BalanceChangeEnvelope {
        log_id: uuid::Uuid::parse_str(&log_id)?.as_bytes().to_vec().into(),
        logged_at_usec,
        ..unlogged(home, deposit(1, "waiting", "USDT", "1000000")?)
    };
    let offset = deployment
        .topic
        .write_message(home.partition, "1", &forged)
        .await?;
    deployment.start(0, 1).await?;
    deployment.all_final().await?;
    assert_eq!(balance(&deployment, 1, "USDT").await?, ["10", "0"]);
    let dead = deployment.database.dead_letters().await?;
    assert_eq!(
        dead,
        [(home.partition, offset, "DIFFERS_FROM_LOG".to_owned())]
    );

    // Without Kafka the API can't drain what it could not publish: it is ended, not asked.
    deployment.verify().await?;
    deployment.apis[0].process.kill()?;
    deployment.apis.clear();
    deployment.finish().await
}

async fn home(deployment: &Deployment, account: i64) -> Result<Home> {
    Ok(sqlx::query_as(
        "SELECT shard_id, partition FROM accounts JOIN shards USING (shard_id)
         WHERE account_id = $1",
    )
    .bind(account)
    .fetch_one(&deployment.database.pool)
    .await?)
}

async fn publish(deployment: &Deployment, events: &[BalanceChangeEvent]) -> Result<()> {
    let answered = deployment
        .client(0)?
        .submit(events, AckLevel::Published)
        .await?;
    for result in answered.results {
        match result.outcome {
            Some(submit_result::Outcome::Accepted(accepted)) if accepted.published => {}
            other => anyhow::bail!("not published: {other:?}"),
        }
    }
    Ok(())
}

/// The bytes that the API wrote to the topic for an event.
async fn record(deployment: &Deployment, key: &str) -> Result<Vec<u8>> {
    let what = format!("the offset of {key}");
    let (partition, offset) = until(&what, Patience::PROCESS, async || {
        let found: (Option<i32>, Option<i64>) = sqlx::query_as(
            "SELECT partition, record_offset FROM balance_change_states
             WHERE idempotency_key = $1",
        )
        .bind(key)
        .fetch_one(&deployment.database.pool)
        .await?;
        Ok(match found {
            (Some(partition), Some(offset)) => Look::There((partition, offset)),
            other => Look::NotYet(format!("{other:?}")),
        })
    })
    .await?;
    deployment.topic.read(partition, offset).await
}

/// A sound envelope around an event that nobody logged.
fn unlogged(home: Home, event: BalanceChangeEvent) -> BalanceChangeEnvelope {
    BalanceChangeEnvelope {
        schema_version: axs_proto::ENVELOPE_SCHEMA_VERSION,
        log_id: uuid::Uuid::now_v7().as_bytes().to_vec().into(),
        layout_epoch: 1,
        logged_at_usec: 1_700_000_000_000_000,
        traceparent: String::new(),
        shard_id: home.shard_id,
        event: Some(event),
    }
}

/// The record with another amount.
fn with_amount(record: &[u8], amount: &str) -> Result<BalanceChangeEnvelope> {
    let mut envelope = BalanceChangeEnvelope::decode(record)?;
    let event = envelope
        .event
        .as_mut()
        .context("an envelope without event")?;
    event.changes[0].available_delta = amount.to_owned();
    Ok(envelope)
}
