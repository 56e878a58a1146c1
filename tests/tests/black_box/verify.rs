//! `bootstrap verify` must be able to find what it looks for: each way of spoiling a sound database
//! is found, with the exit code for it. And it must find nothing while the system runs.

use crate::stage::{apply, deployment, deposit, final_state, moves, put_into_cache};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::ReadConsistency;
use axs_tests::deployment::Deployment;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The tables that are spoiled, and put right again from copies.
const TABLES: [&str; 7] = [
    "account_balances",
    "ledger_entries",
    "balance_change_states",
    "balance_change_logs",
    "accounts",
    "partition_leader_locks",
    "partition_leases",
];

/// What is done to the database, and what kind of difference `verify` must say it is, in which
/// words. Account 1 holds 60 USDT under the keys `in` and `out`; `refused` was refused.
const SPOILED: [(&str, &str, &str); 30] = [
    (
        "UPDATE account_balances SET available = available + 1 WHERE account_id = 1",
        "balance",
        "balance 61 available, 0 frozen at version 2, entries make 60 available",
    ),
    (
        "UPDATE account_balances SET available = available + 1 WHERE account_id = 1",
        "total",
        "USDT: balances add up to 61, applied deltas to 60",
    ),
    (
        "UPDATE account_balances SET version = version + 1 WHERE account_id = 1",
        "balance",
        "at version 3, entries make",
    ),
    (
        "DELETE FROM account_balances WHERE account_id = 1",
        "balance",
        "balance absent",
    ),
    (
        "INSERT INTO account_balances SELECT shard_id, account_id, 'BTC', 1, 0, 1
         FROM account_balances WHERE account_id = 1",
        "balance",
        "entries make nothing",
    ),
    (
        "DELETE FROM ledger_entries WHERE account_id = 1",
        "entries",
        "1 changes applied, 0 entries",
    ),
    // Consistent in itself, but not what was asked: money from nowhere.
    (
        "WITH b AS (UPDATE account_balances SET available = available + 1 WHERE account_id = 1)
         UPDATE ledger_entries SET available_delta = available_delta + 1,
                available_after = available_after + 1 WHERE account_id = 1 AND version = 2",
        "entries",
        "applied something else",
    ),
    (
        "UPDATE ledger_entries SET branch = 1 WHERE account_id = 1 AND version = 2",
        "entries",
        "is a fallback that the change doesn't have",
    ),
    (
        "UPDATE ledger_entries SET change_index = 1 WHERE account_id = 1 AND version = 2",
        "entries",
        "stands for change 1",
    ),
    (
        "UPDATE balance_change_states SET status = 2, reason_code = 1, reason = 'no'
         WHERE account_id = 1 AND idempotency_key = 'out'",
        "entries",
        "Rejected, yet with 1 entries",
    ),
    (
        "UPDATE balance_change_states SET status = 3, reason_code = 100, reason = 'no'
         WHERE account_id = 1 AND idempotency_key = 'out'",
        "entries",
        "Parked, yet with 1 entries",
    ),
    (
        "UPDATE balance_change_states SET status = 3, reason_code = 100
         WHERE account_id = 1 AND idempotency_key = 'refused'",
        "lost",
        "PARKED, but not open among the parked events",
    ),
    // The line of a balance.
    (
        "UPDATE ledger_entries SET version = 5 WHERE account_id = 1 AND version = 2",
        "line",
        "version 5 stands at place 2",
    ),
    (
        "UPDATE ledger_entries SET available_after = 59 WHERE account_id = 1 AND version = 2",
        "line",
        "the balance after is 59",
    ),
    (
        "WITH s AS (UPDATE balance_change_states SET record_offset = 0
                     WHERE account_id = 1 AND status = 1)
         UPDATE ledger_entries SET record_offset = 0 WHERE account_id = 1",
        "line",
        "stands at offset 0, after offset 0",
    ),
    (
        "WITH s AS (UPDATE balance_change_states SET record_offset = 1000000
                     WHERE idempotency_key = 'out')
         UPDATE ledger_entries SET record_offset = 1000000 WHERE account_id = 1 AND version = 2",
        "line",
        "stands at offset 1000000 of partition",
    ),
    (
        "UPDATE balance_change_states SET record_offset = record_offset - 1
         WHERE idempotency_key = 'out'",
        "line",
        "its change log row at",
    ),
    // Money moved to another account, consistently.
    (
        "WITH b AS (UPDATE account_balances SET account_id = 999999 WHERE account_id = 1)
         UPDATE ledger_entries SET account_id = 999999 WHERE account_id = 1",
        "line",
        "stands for account 999999",
    ),
    (
        "WITH b AS (UPDATE account_balances SET available = -1 WHERE account_id = 1)
         UPDATE ledger_entries SET available_after = -1 WHERE account_id = 1 AND version = 2",
        "overdrawn",
        "with a credit of 0",
    ),
    // Rows without their other half.
    (
        "DELETE FROM balance_change_states WHERE idempotency_key = 'refused'",
        "payload",
        "its payload is logged, its state is gone",
    ),
    (
        "DELETE FROM balance_change_states WHERE idempotency_key = 'out'",
        "orphan",
        "no change log row of account 1 has this id",
    ),
    (
        "INSERT INTO ledger_entries SELECT gen_random_uuid(), account_id, version, record_offset,
                shard_id, partition, change_index, branch, currency_code, available_delta,
                frozen_delta, available_after, frozen_after
           FROM ledger_entries WHERE account_id = 1 AND version = 2",
        "orphan",
        "entries in all",
    ),
    (
        "DELETE FROM balance_change_logs WHERE idempotency_key = 'out'",
        "payload",
        "though the day it was logged on is kept",
    ),
    (
        "UPDATE balance_change_logs l SET payload = o.payload FROM balance_change_logs o
          WHERE l.idempotency_key = 'out' AND o.idempotency_key = 'in'",
        "payload",
        "another fingerprint",
    ),
    (
        "UPDATE balance_change_states SET fingerprint = '\\x00' WHERE idempotency_key = 'out'",
        "unreadable",
        "fingerprint of",
    ),
    // Offsets and leaders.
    (
        "UPDATE balance_change_states SET status = 0, decided_at = NULL, reason_code = NULL
         WHERE account_id = 1 AND idempotency_key = 'refused'",
        "lost",
        "INIT although the stored offset",
    ),
    (
        "UPDATE balance_change_states SET record_offset = 1000000
         WHERE idempotency_key = 'refused'",
        "position",
        "Rejected at offset 1000000",
    ),
    (
        "UPDATE partition_leader_locks SET results_offset = stored_offset + 1",
        "leadership",
        "results are said to be out up to offset",
    ),
    (
        "UPDATE partition_leases SET fencing_token = fencing_token + 1",
        "leadership",
        "the lease is of token",
    ),
    (
        "UPDATE accounts SET shard_id = shard_id + 1 WHERE account_id = 1",
        "home",
        "account 1 lives on shard",
    ),
];

/// What may rightly be so: `verify` says it, and finds no difference.
const EXPLAINED: [(&str, &str); 3] = [
    (
        "WITH s AS (UPDATE balance_change_states
                       SET status = 0, decided_at = NULL, reason_code = NULL
                     WHERE idempotency_key = 'refused' RETURNING *)
         INSERT INTO dead_letters (partition, record_offset, log_id, reason, message, record_key,
                                   payload)
         SELECT partition, record_offset, log_id, 'DIFFERS_FROM_LOG', 'other content', '', ''
           FROM s",
        "is dead letter",
    ),
    (
        "WITH s AS (UPDATE balance_change_states
                       SET status = 0, decided_at = NULL, reason_code = NULL
                     WHERE idempotency_key = 'refused' RETURNING *)
         INSERT INTO parked_events (log_id, account_id, record_offset, parked_at, shard_id,
                                    partition, idempotency_key, message, state)
         SELECT log_id, account_id, record_offset, now(), shard_id, partition, idempotency_key, '',
                1
           FROM s",
        "of them pending                 1",
    ),
    (
        "WITH days AS (SELECT min(c.relname) AS table_name FROM pg_inherits i
                         JOIN pg_class c ON c.oid = i.inhrelid
                        WHERE i.inhparent = 'balance_change_logs'::regclass
                          AND c.relname ~ '[0-9]{8}$')
         SELECT retire(table_name) FROM days",
        "Payload retired: 3 events checked without content",
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
    for (spoil, kind, expected) in SPOILED {
        execute(&deployment, spoil.to_owned()).await?;
        finds(&deployment, kind, expected).await.context(spoil)?;
        restore_tables(&deployment).await?;
    }
    deployment.verify().await.context("put right again")?;

    // Retention drops whole days: here the day of the events.
    let retire = "CREATE FUNCTION retire(day text) RETURNS void LANGUAGE plpgsql AS $$
                  BEGIN EXECUTE format('DROP TABLE %I', day); END $$";
    sqlx::query(retire)
        .execute(&deployment.database.pool)
        .await?;
    for (change, expected) in EXPLAINED {
        execute(&deployment, change.to_owned()).await?;
        let ran = deployment.verify().await.context(change)?;
        ensure!(
            ran.stdout.contains(expected),
            "expected {expected:?}: {ran}"
        );
        if !change.contains("retire") {
            sqlx::query("TRUNCATE dead_letters, parked_events")
                .execute(&deployment.database.pool)
                .await?;
            restore_tables(&deployment).await?;
        }
    }
    deployment.abandon();
    Ok(())
}

/// Each run sees one moment, however much is written meanwhile, and stops nobody.
#[tokio::test(flavor = "multi_thread")]
async fn under_load_nothing_is_found() -> Result<()> {
    const RUNS: usize = 3;
    let deployment = deployment("verify_live", 1, 1).await?;
    let client = deployment.client(0)?;
    let over = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&over);
    let load = tokio::spawn(async move {
        let mut sent = 0_usize;
        while !stop.load(Ordering::Relaxed) {
            let account = i64::try_from(sent % 20)? + 1;
            let key = format!("k{sent}");
            // Some of the withdrawals are refused.
            let amount = if sent.is_multiple_of(3) { "5" } else { "-3" };
            client
                .accept(moves(account, &key, &[("USDT", amount, "0")])?)
                .await?;
            sent += 1;
        }
        anyhow::Ok(sent)
    });
    let mut seen = Vec::new();
    for _ in 0..RUNS {
        let ran = deployment.run(&["verify", "--json"]).await?;
        ensure!(ran.code == Some(0), "{ran}");
        let report: Value = serde_json::from_str(&ran.stdout)?;
        seen.push(report["events"].as_u64().context("events")?);
    }
    over.store(true, Ordering::Relaxed);
    let sent = load.await??;
    ensure!(
        seen.windows(2).all(|runs| runs[0] < runs[1]),
        "nothing was written between two runs: {seen:?} of {sent}"
    );
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
    let nowhere = format!("redis://{}/", axs_tests::port::free()?);
    let away = [("AXS__CACHE__URL", nowhere.as_str())];
    let ran = deployment.run_with(&["verify"], &away).await?;
    assert_eq!(ran.code, Some(3), "the cache was not compared: {ran}");
    let last = ran.stdout.lines().last().unwrap_or_default();
    let words = "Everything compared agrees; the cache was not compared: ";
    assert!(last.starts_with(words), "{ran}");
    let ran = deployment.run_with(&["verify", "--json"], &away).await?;
    let report: Value = serde_json::from_str(&ran.stdout)?;
    assert_eq!(report["not_compared"][0]["what"], "cache", "{ran}");
    put_into_cache(&deployment, "99|100|0").await?;
    finds(
        &deployment,
        "cache",
        "the cache holds version 99, the database 1",
    )
    .await?;
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_a_layout_is_not_said_to_agree() -> Result<()> {
    let deployment = Deployment::builder("verify_nothing").prepare().await?;
    let ran = deployment.run(&["migrate"]).await?;
    ensure!(ran.code == Some(0), "bootstrap migrate {ran}");
    for arguments in [&["verify"][..], &["verify", "--json"]] {
        let ran = deployment.run(arguments).await?;
        assert_eq!(ran.code, Some(3), "{ran}");
        assert_eq!(ran.stdout, "", "{ran}");
        let told = ran.stderr.contains("nothing is laid out");
        assert!(told && ran.stderr.contains("layout init"), "{ran}");
    }
    deployment.abandon();
    Ok(())
}

async fn finds(deployment: &Deployment, kind: &str, expected: &str) -> Result<()> {
    let ran = deployment.run(&["verify", "--json"]).await?;
    ensure!(ran.code == Some(1), "expected exit code 1: {ran}");
    let report: Value = serde_json::from_str(&ran.stdout)?;
    let findings = report["findings"].as_array().context("findings")?;
    let found = findings.iter().any(|finding| {
        finding["kind"] == kind
            && finding["what"]
                .as_str()
                .is_some_and(|w| w.contains(expected))
    });
    ensure!(found, "expected {kind}, {expected:?}: {ran}");
    ensure!(
        report["counts"][kind].as_u64() >= Some(1),
        "not counted: {ran}"
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
