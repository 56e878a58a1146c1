//! The form of the reference report: COPY to an unlogged table, UPDATE … FROM it, TRUNCATE.
//!
//! Given the benefit of the doubt: deltas are summed before balances are touched, and the status
//! is tested so that old statistics can't mislead the planner.

use crate::measured_form::Failure;
use axs_application::port::batch_writer::{DecidedBatch, FinalResult};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use std::fmt::Write;
use std::str::FromStr;
use tokio::sync::Mutex;

/// Shared by all connections, so writers must take turns; here there is one.
const STAGING: &str = "
    CREATE UNLOGGED TABLE IF NOT EXISTS reference_staging (
        shard_id integer, account_id bigint, idempotency_key text COLLATE \"C\", log_id uuid,
        fingerprint bytea, record_offset bigint, currency_code text COLLATE \"C\",
        available_delta numeric(36,18), frozen_delta numeric(36,18),
        available_after numeric(36,18), frozen_after numeric(36,18), version bigint)";

const STATEMENTS: [&str; 3] = [
    "UPDATE account_balances b
        SET available = b.available + s.available, frozen = b.frozen + s.frozen,
            version = b.version + s.changes
       FROM (SELECT shard_id, account_id, currency_code, sum(available_delta) AS available,
                    sum(frozen_delta) AS frozen, count(*) AS changes
               FROM reference_staging GROUP BY shard_id, account_id, currency_code) s
      WHERE b.shard_id = s.shard_id AND b.account_id = s.account_id
        AND b.currency_code = s.currency_code",
    "UPDATE balance_change_states l
        SET status = 1, partition = 0, record_offset = s.record_offset, decided_at = now()
       FROM reference_staging s
      WHERE l.shard_id = s.shard_id AND l.account_id = s.account_id
        AND l.idempotency_key = s.idempotency_key
        AND CASE WHEN l.status = 0 AND l.fingerprint = s.fingerprint THEN true ELSE false END",
    "INSERT INTO ledger_entries (shard_id, log_id, change_index, account_id, currency_code, branch,
            available_delta, frozen_delta, available_after, frozen_after, version, partition,
            record_offset)
     SELECT shard_id, log_id, 0, account_id, currency_code, 0, available_delta, frozen_delta,
            available_after, frozen_after, version, 0, record_offset
       FROM reference_staging",
];

pub struct ReferenceForm {
    connection: Mutex<PgConnection>,
}

impl ReferenceForm {
    pub async fn connect(address: &str) -> Result<Self, Failure> {
        let mut connection = PgConnectOptions::from_str(address)?
            .disable_statement_logging()
            .connect()
            .await?;
        connection
            .execute("SET client_min_messages = warning")
            .await?;
        connection.execute(STAGING).await?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    pub async fn write(&self, batch: &DecidedBatch) -> Result<(), Failure> {
        let mut connection = self.connection.lock().await;
        let mut transaction = connection.begin().await?;
        let fenced = sqlx::query(
            "SELECT 1 FROM partition_leader_locks
              WHERE partition = $1 AND fencing_token = $2 AND owner = $3 FOR NO KEY UPDATE",
        )
        .bind(batch.partition.value())
        .bind(batch.claim.token.value())
        .bind(batch.claim.owner.uuid())
        .execute(&mut *transaction)
        .await?;
        expect_rows(fenced.rows_affected(), 1)?;
        let mut copy = transaction
            .copy_in_raw("COPY reference_staging FROM STDIN")
            .await?;
        copy.send(rows(batch)?.into_bytes()).await?;
        copy.finish().await?;
        let wanted = [batch.writes.len(), batch.events.len(), batch.events.len()];
        for (statement, wanted) in STATEMENTS.iter().zip(wanted) {
            let reached = sqlx::query(*statement)
                .persistent(false)
                .execute(&mut *transaction)
                .await?;
            expect_rows(reached.rows_affected(), wanted)?;
        }
        let stored = sqlx::query(
            "UPDATE partition_leader_locks SET stored_offset = $2 WHERE partition = $1",
        )
        .bind(batch.partition.value())
        .bind(batch.offset_after.value())
        .execute(&mut *transaction)
        .await?;
        expect_rows(stored.rows_affected(), 1)?;
        transaction.execute("TRUNCATE reference_staging").await?;
        transaction.commit().await?;
        Ok(())
    }
}

fn expect_rows(reached: u64, wanted: usize) -> Result<(), Failure> {
    if reached == u64::try_from(wanted)? {
        Ok(())
    } else {
        Err(format!("wanted {wanted} rows, reached {reached}").into())
    }
}

/// COPY's text form.
fn rows(batch: &DecidedBatch) -> Result<String, Failure> {
    let mut text = String::new();
    for event in &batch.events {
        let FinalResult::Applied(entries) = &event.result else {
            continue;
        };
        for entry in entries {
            write!(
                text,
                "{}\t{}\t{}\t{}\t\\\\x",
                event.key.shard_id, event.key.account_id, event.key.idempotency_key, event.log_id
            )?;
            for byte in event.fingerprint.as_bytes() {
                write!(text, "{byte:02x}")?;
            }
            writeln!(
                text,
                "\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                event.offset,
                entry.applied.currency,
                entry.applied.delta.available,
                entry.applied.delta.frozen,
                entry.after.balance.available,
                entry.after.balance.frozen,
                entry.after.version
            )?;
        }
    }
    Ok(text)
}
