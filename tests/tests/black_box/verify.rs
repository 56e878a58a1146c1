//! `bootstrap verify` must be able to find what it looks for: each way of spoiling a sound database
//! is found, with the exit code for it.

use crate::stage::{apply, deployment, deposit, final_state, moves};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::ReadConsistency;
use axs_tests::deployment::Deployment;
use sqlx::AssertSqlSafe;

/// The tables that are spoiled, and put right again from copies.
const TABLES: [&str; 3] = [
    "account_balances",
    "ledger_entries",
    "balance_change_states",
];

/// What is done to the database, and what `verify` must say of it. Account 1 holds 60 USDT under
/// the keys `in` and `out`; `refused` was refused.
const SPOILED: [(&str, &str); 13] = [
    (
        "UPDATE account_balances SET available = available + 1 WHERE account_id = 1",
        "entries make",
    ),
    (
        "UPDATE account_balances SET version = version + 1 WHERE account_id = 1",
        "entries make",
    ),
    (
        "DELETE FROM account_balances WHERE account_id = 1",
        "balance absent",
    ),
    (
        "DELETE FROM ledger_entries WHERE account_id = 1",
        "1 changes applied, 0 entries",
    ),
    // Consistent in itself, but not what was asked: money from nowhere.
    (
        "WITH b AS (UPDATE account_balances SET available = available + 1 WHERE account_id = 1)
         UPDATE ledger_entries SET available_delta = available_delta + 1,
                available_after = available_after + 1 WHERE account_id = 1 AND version = 2",
        "applied something else",
    ),
    (
        "UPDATE ledger_entries SET record_offset = 0 WHERE account_id = 1",
        "stands at offset 0, after offset 0",
    ),
    (
        "UPDATE ledger_entries SET record_offset = 1000000 WHERE account_id = 1 AND version = 2",
        "the stored offset is",
    ),
    (
        "UPDATE balance_change_states SET status = 2, reason_code = 1, reason = 'no'
         WHERE account_id = 1 AND idempotency_key = 'out'",
        "yet with 1 entries",
    ),
    (
        "UPDATE balance_change_states SET status = 0, decided_at = NULL, reason_code = NULL
         WHERE account_id = 1 AND idempotency_key = 'refused'",
        "INIT although the stored offset lies past it",
    ),
    // Money moved to another account, consistently.
    (
        "WITH b AS (UPDATE account_balances SET account_id = 999999 WHERE account_id = 1)
         UPDATE ledger_entries SET account_id = 999999 WHERE account_id = 1",
        "stands for account 999999",
    ),
    (
        "DELETE FROM balance_change_states WHERE idempotency_key = 'refused'",
        "its payload is logged, its state is gone",
    ),
    (
        "UPDATE balance_change_states SET record_offset = record_offset + 1
         WHERE idempotency_key = 'out'",
        "its change log row at",
    ),
    (
        "WITH b AS (UPDATE account_balances SET available = -1 WHERE account_id = 1)
         UPDATE ledger_entries SET available_after = -1 WHERE account_id = 1 AND version = 2",
        "with a credit of 0",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_spoiled_is_found() -> Result<()> {
    let mut deployment = deployment("verify", 1, 1).await?;
    apply(&deployment, deposit(1, "in", "USDT", "100")?).await?;
    apply(&deployment, moves(1, "out", &[("USDT", "-40", "0")])?).await?;
    let refused = moves(1, "refused", &[("USDT", "-1000", "0")])?;
    let refused = deployment.client(0)?.accept(refused).await?;
    final_state(&deployment, &refused).await?;
    deployment.verify().await?;
    // Nobody may write while tables are taken apart.
    deployment.stop().await?;

    copy_tables(&deployment).await?;
    for (spoil, expected) in SPOILED {
        execute(&deployment, spoil.to_owned()).await?;
        finds(&deployment, expected).await.context(spoil)?;
        restore_tables(&deployment).await?;
    }
    deployment.verify().await.context("put right again")?;
    deployment.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_ahead_of_the_database_is_found() -> Result<()> {
    let deployment = deployment("verify_cache", 1, 1).await?;
    apply(&deployment, deposit(1, "in", "USDT", "100")?).await?;
    // A cached read fills the account, which makes it a hit.
    let client = deployment.client(0)?;
    axs_tests::deadline::until(
        "the account to be cached",
        axs_tests::deadline::Patience::PROCESS,
        async || {
            client.balances(&[1], ReadConsistency::Cached).await?;
            let report = deployment.run(&["verify", "--json"]).await?;
            let report: serde_json::Value = serde_json::from_str(&report.stdout)?;
            Ok(match report["cached_accounts"].as_u64() {
                Some(1) => axs_tests::deadline::Look::There(()),
                other => axs_tests::deadline::Look::NotYet(format!("{other:?}")),
            })
        },
    )
    .await?;
    set_ahead(&deployment).await?;
    finds(&deployment, "the cache holds version 99, the database 1").await?;
    deployment.abandon();
    Ok(())
}

async fn finds(deployment: &Deployment, expected: &str) -> Result<()> {
    let ran = deployment.run(&["verify"]).await?;
    ensure!(ran.code == Some(1), "expected exit code 1: {ran}");
    ensure!(
        ran.stdout.contains(expected),
        "expected {expected:?}: {ran}"
    );
    Ok(())
}

async fn copy_tables(deployment: &Deployment) -> Result<()> {
    for table in TABLES {
        execute(
            deployment,
            format!("CREATE TABLE copy_of_{table} AS TABLE {table}"),
        )
        .await?;
    }
    Ok(())
}

async fn restore_tables(deployment: &Deployment) -> Result<()> {
    for table in TABLES {
        // A table that was spoiled by emptying it has nothing to delete.
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {table}")))
            .execute(&deployment.database.pool)
            .await?;
        let copy = format!("INSERT INTO {table} TABLE copy_of_{table}");
        execute(deployment, copy).await?;
    }
    Ok(())
}

async fn execute(deployment: &Deployment, statement: String) -> Result<()> {
    let done = sqlx::query(AssertSqlSafe(statement.clone()))
        .execute(&deployment.database.pool)
        .await
        .with_context(|| statement.clone())?;
    ensure!(done.rows_affected() > 0, "{statement}: changed nothing");
    Ok(())
}

/// Gives the one cached balance a version that no commit made.
async fn set_ahead(deployment: &Deployment) -> Result<()> {
    let client = redis::Client::open(deployment.servers.redis.as_str())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let pattern = format!("*{}*:balances:1", deployment.database.name);
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg(&pattern)
        .query_async(&mut connection)
        .await?;
    ensure!(keys.len() == 1, "{pattern}: {keys:?}");
    redis::cmd("HSET")
        .arg(&keys[0])
        .arg("USDT")
        .arg("99|100|0")
        .query_async::<()>(&mut connection)
        .await?;
    Ok(())
}
