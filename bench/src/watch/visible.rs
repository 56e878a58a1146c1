//! How long it takes until a reader of the cache sees an event, by accounts that nobody else uses.

use crate::load::{Dice, LATENCY_MAX_US, latencies};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::{BalanceChange, BalanceChangeEvent, ReadConsistency};
use axs_tests::client::ApiClient;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The pause between two events that are followed is drawn from 0 up to this: a steady beat would
/// keep step with the batches and always meet them at the same point.
const INTERVAL_MAX: Duration = Duration::from_millis(200);

/// The pause between two reads: what is found is at most so much too late.
const READ_INTERVAL: Duration = Duration::from_millis(3);

/// An event that can't be seen after so long counts as a failure.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// Follows some ten events a second for so long, each on the next of the accounts, and gives the
/// latencies from submit until the cache shows it, in microseconds.
///
/// # Errors
/// A request fails, or an event is never seen.
pub async fn follow(
    client: ApiClient,
    accounts: Vec<i64>,
    currency: &'static str,
    time: Duration,
) -> Result<Histogram<u64>> {
    // A first read fills the cache.
    client.balances(&accounts, ReadConsistency::Cached).await?;
    let began = Instant::now();
    let mut followed: JoinSet<Result<Duration>> = JoinSet::new();
    let mut next = began;
    let mut dice = Dice::new(0x5ee);
    for account in accounts.iter().cycle() {
        if next.duration_since(began) >= time {
            break;
        }
        tokio::time::sleep_until(next.into()).await;
        followed.spawn(follow_one(client.clone(), *account, currency));
        next += INTERVAL_MAX.mul_f64(dice.fraction());
    }
    let mut found = latencies()?;
    while let Some(took) = followed.join_next().await {
        let micros = u64::try_from(took??.as_micros()).unwrap_or(u64::MAX);
        found.record(micros.clamp(1, LATENCY_MAX_US))?;
    }
    Ok(found)
}

async fn follow_one(client: ApiClient, account: i64, currency: &str) -> Result<Duration> {
    let before = version(&client, account, currency).await?;
    let key = uuid::Uuid::new_v4().to_string();
    let began = Instant::now();
    let event = BalanceChangeEvent {
        event_id: "followed".to_owned(),
        event_type: "trade".to_owned(),
        account_id: account,
        user_id: account,
        source_service: "bench".to_owned(),
        idempotency_key: key,
        changes: vec![BalanceChange {
            change_id: "1".to_owned(),
            currency_code: currency.to_owned(),
            available_delta: "0.01".to_owned(),
            frozen_delta: "0".to_owned(),
            fallback: None,
        }],
        ..BalanceChangeEvent::default()
    };
    client.accept(event).await?;
    while version(&client, account, currency).await? <= before {
        ensure!(
            began.elapsed() < SEEN_WITHIN,
            "account {account} is not seen to change in {SEEN_WITHIN:?}"
        );
        tokio::time::sleep(READ_INTERVAL).await;
    }
    Ok(began.elapsed())
}

async fn version(client: &ApiClient, account: i64, currency: &str) -> Result<i64> {
    let read = client.balances(&[account], ReadConsistency::Cached).await?;
    let balances = &read.first().context("an account")?.balances;
    let found = balances.iter().find(|it| it.currency_code == currency);
    Ok(found.map_or(0, |balance| balance.version))
}
