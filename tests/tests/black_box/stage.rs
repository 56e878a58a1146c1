//! What most tests stand on: a few currencies and accounts, and short ways to write events.

use anyhow::{Context, Result};
use axs_proto::v1::{BalanceChange, BalanceChangeEvent, EventState, EventStatus};
use axs_tests::cache;
use axs_tests::deployment::Deployment;
use axs_tests::model::parse;
use axs_tests::script::{Script, change, event};

/// Accounts of the pool `retail`: 1 to 20. Accounts of `whale`: 101 and 102.
pub fn cast() -> Script {
    let mut script = Script::default();
    for (code, decimals) in [("USDT", 6), ("BTC", 8), ("BNB", 8), ("JPY", 0)] {
        script.register(code, decimals, true);
    }
    script.register("LUNA", 6, false);
    for account in 1..=20 {
        script.open(account, axs_tests::script::user_of(account), "retail");
    }
    for account in [101, 102] {
        script.open(account, axs_tests::script::user_of(account), "whale");
    }
    script
}

/// A deployment with the cast, and processes.
pub async fn deployment(name: &str, apis: usize, consumers: usize) -> Result<Deployment> {
    let deployment = Deployment::builder(name)
        .apis(apis)
        .consumers(consumers)
        .start()
        .await?;
    deployment.furnish(&cast()).await?;
    Ok(deployment)
}

/// One change per row of (currency, available, frozen).
pub fn moves(account: i64, key: &str, rows: &[(&str, &str, &str)]) -> Result<BalanceChangeEvent> {
    let changes: Result<Vec<BalanceChange>> = rows
        .iter()
        .enumerate()
        .map(|(index, (currency, available, frozen))| {
            let available = parse(available).context("available")?;
            let frozen = parse(frozen).context("frozen")?;
            Ok(change(&format!("c{index}"), currency, &available, &frozen))
        })
        .collect();
    Ok(event(account, key, "test", "", changes?))
}

/// A deposit of one amount.
pub fn deposit(
    account: i64,
    key: &str,
    currency: &str,
    amount: &str,
) -> Result<BalanceChangeEvent> {
    moves(account, key, &[(currency, amount, "0")])
}

/// The state of an event that has become final.
pub async fn final_state(deployment: &Deployment, log_id: &str) -> Result<EventState> {
    deployment
        .result(log_id)
        .await?
        .state
        .context("an event without a state")
}

/// Submits an event that must take effect, and waits until it has.
pub async fn apply(deployment: &Deployment, event: BalanceChangeEvent) -> Result<EventState> {
    let log_id = deployment.client(0)?.accept(event).await?;
    let state = final_state(deployment, &log_id).await?;
    anyhow::ensure!(state.status() == EventStatus::Applied, "{state:?}");
    Ok(state)
}

/// One committed balance.
pub async fn balance(deployment: &Deployment, account: i64, currency: &str) -> Result<[String; 2]> {
    let (available, frozen) = deployment.client(0)?.balance(account, currency).await?;
    Ok([available, frozen])
}

/// Puts USDT that no commit made, as `version|available|frozen`, over the one cached balance of
/// account 1.
pub async fn put_into_cache(deployment: &Deployment, balance: &str) -> Result<()> {
    let redis = &deployment.servers.redis;
    let keys = cache::keys(redis, &deployment.key_prefix).await?;
    let of_account_1 = |key: &&String| key.contains(":balances:") && key.ends_with(":1");
    let keys: Vec<&String> = keys.iter().filter(of_account_1).collect();
    anyhow::ensure!(keys.len() == 1, "{keys:?}");
    let client = redis::Client::open(redis.as_str())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    redis::cmd("HSET")
        .arg(keys[0])
        .arg("USDT")
        .arg(balance)
        .query_async::<()>(&mut connection)
        .await?;
    Ok(())
}
