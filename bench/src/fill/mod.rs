//! Accounts and their history straight by SQL: millions of rows in a minute, which the API would
//! take an hour for.
//!
//! What is written is what funding the accounts leaves: a balance of version 1, an event that was
//! applied and its ledger entry, between which `bootstrap verify` finds no difference. Three things
//! are shortcuts. All events bear the fingerprint and the payload of one that is given, so verify
//! would name each payload as another event's. All stand at offset 0 of their partition, where
//! there is another record. And balances come first: an account whose event was not written yet has
//! a balance that no entry explains, which verify would name too.

use crate::load::FUNDED;
use crate::stage::{FUNDS, SHARDS};
use anyhow::Result;
use axs_tests::database::Database;
use chrono::Utc;
use sqlx::{Executor, PgPool};
use std::ops::RangeInclusive;

const FUNCTIONS: &str = include_str!("functions.sql");
const ACCOUNTS: &str = include_str!("accounts.sql");
const BALANCES: &str = include_str!("balances.sql");
const STATES: &str = include_str!("states.sql");
const PAYLOADS: &str = include_str!("payloads.sql");
const ENTRIES: &str = include_str!("entries.sql");

/// An event whose fingerprint and payload others may bear.
#[derive(Debug, Clone)]
pub struct Model {
    fingerprint: Vec<u8>,
    payload: Vec<u8>,
}

impl Model {
    /// One of a database that has some.
    ///
    /// # Errors
    /// It has none.
    pub async fn of(database: &Database) -> Result<Self> {
        let (fingerprint, payload) = sqlx::query_as(
            "SELECT s.fingerprint, l.payload
               FROM balance_change_logs l
               JOIN balance_change_states s USING (shard_id, account_id, idempotency_key)
              LIMIT 1",
        )
        .fetch_one(&database.pool)
        .await?;
        Ok(Self {
            fingerprint,
            payload,
        })
    }
}

/// A database that is being filled.
#[derive(Debug, Clone)]
pub struct Fill {
    pool: PgPool,
    shards: i32,
    model: Model,
}

impl Fill {
    /// Nothing is filled yet.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn begin(database: &Database, model: Model) -> Result<Self> {
        let pool = database.pool.clone();
        pool.execute(FUNCTIONS).await?;
        Ok(Self {
            pool,
            shards: i32::try_from(SHARDS)?,
            model,
        })
    }

    /// Accounts and their balances.
    ///
    /// # Errors
    /// PostgreSQL refuses.
    pub async fn accounts(&self, numbers: RangeInclusive<i64>) -> Result<()> {
        let (first, last) = numbers.into_inner();
        let accounts = sqlx::query(ACCOUNTS)
            .bind(first)
            .bind(last)
            .bind(self.shards);
        let balances = sqlx::query(BALANCES)
            .bind(first)
            .bind(last)
            .bind(self.shards)
            .bind(FUNDED)
            .bind(FUNDS);
        tokio::try_join!(accounts.execute(&self.pool), balances.execute(&self.pool))?;
        self.settle().await
    }

    /// The events that funded these accounts.
    ///
    /// # Errors
    /// PostgreSQL refuses.
    pub async fn events(&self, accounts: RangeInclusive<i64>) -> Result<()> {
        let (first, last) = accounts.into_inner();
        let moment = Utc::now();
        let states = sqlx::query(STATES)
            .bind(first)
            .bind(last)
            .bind(self.shards)
            .bind(moment)
            .bind(&self.model.fingerprint);
        let payloads = sqlx::query(PAYLOADS)
            .bind(first)
            .bind(last)
            .bind(self.shards)
            .bind(moment)
            .bind(&self.model.payload);
        let entries = sqlx::query(ENTRIES)
            .bind(first)
            .bind(last)
            .bind(self.shards)
            .bind(moment)
            .bind(FUNDED)
            .bind(FUNDS);
        tokio::try_join!(
            states.execute(&self.pool),
            payloads.execute(&self.pool),
            entries.execute(&self.pool)
        )?;
        self.settle().await
    }

    /// What a fill leaves behind for the server is done now, and not while something is measured.
    async fn settle(&self) -> Result<()> {
        self.pool.execute("VACUUM (ANALYZE)").await?;
        self.pool.execute("CHECKPOINT").await?;
        Ok(())
    }
}
