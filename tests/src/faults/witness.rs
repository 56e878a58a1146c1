//! A witness inside the database: who moved the stored offset, and by whose leave.
//!
//! A trigger on the leader row, in the transaction that moves the offset. The writer's backend has
//! put its pid on the row under its claim, and a take-over clears it: a move by any other backend
//! is a write under an old token. What is rolled back leaves no trace here either.

use super::invariant::{Invariant, Violations};
use crate::deadline::{Look, Patience, until};
use anyhow::Result;
use sqlx::PgPool;

const INSTALL: &str = include_str!("witness.sql");

/// A write that a leader made.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Move {
    partition: i32,
    fencing_token: i64,
    writer: i32,
    recorded: Option<i32>,
    offset_before: i64,
    offset_after: i64,
}

/// Sets the witness up in a deployment's database, after its schema.
///
/// # Errors
/// PostgreSQL is away.
pub async fn install(pool: &PgPool) -> Result<()> {
    sqlx::raw_sql(INSTALL).execute(pool).await?;
    Ok(())
}

/// Moves the stored offset of every partition by the suite's own hand: to where nothing was
/// processed yet.
///
/// # Errors
/// PostgreSQL is away.
pub async fn rewind(pool: &PgPool) -> Result<u64> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT set_config('axs.by_the_suite', 'yes', true)")
        .execute(&mut *transaction)
        .await?;
    let rewound = sqlx::query(
        "UPDATE partition_leader_locks SET stored_offset = 0, stored_record_digest = NULL
          WHERE stored_offset > 0",
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(rewound.rows_affected())
}

/// Moves the offsets of one partition behind a record, as an operator would: once every result
/// before it is out.
///
/// # Errors
/// PostgreSQL is away, or the results are not out in time.
pub async fn pass_over(pool: &PgPool, partition: i32, offset: i64) -> Result<()> {
    until("the results before it", Patience::PROCESS, async || {
        let out: i64 = sqlx::query_scalar(
            "SELECT results_offset FROM partition_leader_locks WHERE partition = $1",
        )
        .bind(partition)
        .fetch_one(pool)
        .await?;
        Ok(if out >= offset {
            Look::There(())
        } else {
            Look::NotYet(format!("{out} of {offset}"))
        })
    })
    .await?;
    let mut transaction = pool.begin().await?;
    sqlx::query("SELECT set_config('axs.by_the_suite', 'yes', true)")
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "UPDATE partition_leader_locks
            SET stored_offset = $2 + 1, results_offset = $2 + 1, stored_record_digest = NULL
          WHERE partition = $1",
    )
    .bind(partition)
    .bind(offset)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// What the witness saw that must not be.
///
/// # Errors
/// PostgreSQL is away.
pub async fn testify(pool: &PgPool, violations: &mut Violations) -> Result<()> {
    let moves: Vec<Move> = sqlx::query_as(
        "SELECT partition, fencing_token, writer, recorded, offset_before, offset_after
           FROM fault_witness WHERE NOT by_the_suite ORDER BY number",
    )
    .fetch_all(pool)
    .await?;
    violations.unless(!moves.is_empty(), Invariant::I6, || {
        "the witness saw no write at all".to_owned()
    });
    let mut tokens = std::collections::BTreeMap::new();
    for seen in &moves {
        let newest: &mut i64 = tokens.entry(seen.partition).or_default();
        let sound = seen.recorded == Some(seen.writer)
            && seen.fencing_token >= *newest
            && seen.offset_after > seen.offset_before;
        violations.unless(sound, Invariant::I6, || {
            format!("a write by a backend that the token does not name: {seen:?}")
        });
        *newest = seen.fencing_token.max(*newest);
    }
    Ok(())
}
