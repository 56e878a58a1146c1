//! What `verify` reads: every page of the same moment, whatever is written meanwhile.
//!
//! One transaction keeps the snapshot and touches no table; each page is a short transaction of its
//! own that imports it. So nothing is locked between two pages: days of the change log can be made
//! and dropped while a long run is under way, and no statement is longer than its page.

mod page;
mod row;

use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::ledger_audit::{
    AuditGround, AuditSnapshot, BalanceCursor, BalancePage, BrokenEntry, DeadLetterPage, EntryPage,
    EventCursor, EventPage, LedgerAudit, PayloadPage,
};
use axs_application::port::store_error::StoreError;
use axs_domain::id::{LogId, ShardId};
use shaku::Component;
use sqlx::{AssertSqlSafe, Executor, PgPool, Postgres, Transaction};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The keeper of the snapshot waits for the whole run, which has no bound of its own.
const KEEP: &str = "SET LOCAL idle_in_transaction_session_timeout = 0";

/// How long the server may work on one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// [`LedgerAudit`] over the tables.
#[derive(Component)]
#[shaku(interface = LedgerAudit)]
pub struct PgLedgerAudit {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgLedgerAudit {
    /// The ledger of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl LedgerAudit for PgLedgerAudit {
    async fn open(&self) -> Result<Box<dyn AuditSnapshot>, StoreError> {
        let opened = async {
            // The pool of operations: the pages must not wait for the connection that waits for
            // them.
            let mut keeper = self.database.operations().begin_with(BEGIN).await?;
            keeper.execute(KEEP).await?;
            let snapshot: String = sqlx::query_scalar("SELECT pg_export_snapshot()")
                .fetch_one(&mut *keeper)
                .await?;
            Ok((keeper, snapshot))
        };
        let (keeper, snapshot) = opened
            .await
            .map_err(|error| StoreName::of(&*self.database).sqlx(&error))?;
        Ok(Box::new(PgAuditSnapshot {
            pool: self.database.queries().clone(),
            address: self.database.address().to_owned(),
            snapshot,
            _keeper: keeper,
        }))
    }
}

struct PgAuditSnapshot {
    pool: PgPool,
    address: String,
    snapshot: String,
    /// Ends with the snapshot, and ends it.
    _keeper: Transaction<'static, Postgres>,
}

impl PgAuditSnapshot {
    fn name(&self) -> StoreName<'_> {
        StoreName {
            address: &self.address,
        }
    }

    /// A transaction that sees the snapshot, bounded as `pages` pages are.
    async fn page(&self, pages: u32) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mut page = self.pool.begin_with(BEGIN).await?;
        let bound = PAGE_TIMEOUT.saturating_mul(pages.max(1)).as_millis();
        // The name comes from the server, which quotes nothing in it.
        let import = format!(
            "SET TRANSACTION SNAPSHOT '{}'; SET LOCAL statement_timeout = {}",
            self.snapshot.replace('\'', "''"),
            bound.min(i32::MAX.unsigned_abs().into()),
        );
        page.execute(AssertSqlSafe(import)).await?;
        Ok(page)
    }
}

#[async_trait]
impl AuditSnapshot for PgAuditSnapshot {
    async fn ground(&mut self) -> Result<AuditGround, StoreError> {
        page::ground(self).await
    }

    async fn events(
        &mut self,
        shard: ShardId,
        after: Option<EventCursor>,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        page::events(self, shard, after, limit).await
    }

    async fn balances(
        &mut self,
        shard: ShardId,
        accounts: RangeInclusive<i64>,
        after: Option<BalanceCursor>,
        limit: u32,
    ) -> Result<BalancePage, StoreError> {
        page::balances(self, shard, accounts, after, limit).await
    }

    async fn lines(
        &mut self,
        shard: ShardId,
        accounts: RangeInclusive<i64>,
        named_max: u32,
        pages: u32,
    ) -> Result<Vec<BrokenEntry>, StoreError> {
        page::lines(self, shard, accounts, named_max, pages).await
    }

    async fn entries(
        &mut self,
        shard: ShardId,
        after: Option<(LogId, i16)>,
        limit: u32,
    ) -> Result<EntryPage, StoreError> {
        page::entries(self, shard, after, limit).await
    }

    async fn payloads(
        &mut self,
        after: Option<LogId>,
        limit: u32,
    ) -> Result<PayloadPage, StoreError> {
        page::payloads(self, after, limit).await
    }

    async fn dead_letters(
        &mut self,
        after: Option<i64>,
        limit: u32,
    ) -> Result<DeadLetterPage, StoreError> {
        page::dead_letters(self, after, limit).await
    }
}
