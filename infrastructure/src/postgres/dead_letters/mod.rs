//! Dead records and parked events: what is kept of them, and what people do with them.
//!
//! Everything that changes something is one transaction, with a record of who did it. Those that
//! send an event on its way again lock as a batch does, the leader row first.

mod action;
mod parked;
mod row;

pub use parked::PgParkedEvents;

use super::error::StoreName;
use super::pool::Database;
use super::stored::timestamp;
use action::Action;
use async_trait::async_trait;
use axs_application::port::dead_letters::{
    DeadLetterEntry, DeadLetterFilter, DeadLetterId, DeadLetterKind, DeadLetterState,
    DeadLetterSummary, DeadLetters, OperatorNote, ReasonCount, RecordSettlement, RecordedAction,
};
use axs_application::port::store_error::StoreError;
use chrono::{DateTime, Utc};
use row::{EntryRow, SummaryRow};
use shaku::Component;
use std::sync::Arc;

/// [`DeadLetters`] in the tables `dead_letters` and `parked_events`.
#[derive(Component)]
#[shaku(interface = DeadLetters)]
pub struct PgDeadLetters {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgDeadLetters {
    /// The dead letters of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }
}

#[async_trait]
impl DeadLetters for PgDeadLetters {
    async fn list(
        &self,
        filter: DeadLetterFilter,
        after: Option<DeadLetterId>,
        limit: u32,
    ) -> Result<Vec<DeadLetterSummary>, StoreError> {
        let rows: Vec<SummaryRow> = sqlx::query_as(include_str!("../sql/dead_letters/list.sql"))
            .bind(filter.kind.map(DeadLetterKind::number))
            .bind(filter.partition.map(|partition| partition.value()))
            .bind(filter.reason)
            .bind(filter.account_id.map(|account| account.value()))
            .bind(filter.open_only)
            .bind(after.map_or(0, |after| after.0))
            .bind(i64::from(limit))
            .fetch_all(self.database.queries())
            .await
            .map_err(|error| self.name().sqlx(&error))?;
        rows.into_iter()
            .map(|row| row.summary(self.name()))
            .collect()
    }

    async fn count_by_reason(
        &self,
        filter: DeadLetterFilter,
    ) -> Result<Vec<ReasonCount>, StoreError> {
        let counts: Vec<(String, i64)> =
            sqlx::query_as(include_str!("../sql/dead_letters/count_by_reason.sql"))
                .bind(filter.kind.map(DeadLetterKind::number))
                .bind(filter.partition.map(|partition| partition.value()))
                .bind(filter.reason)
                .bind(filter.account_id.map(|account| account.value()))
                .bind(filter.open_only)
                .fetch_all(self.database.queries())
                .await
                .map_err(|error| self.name().sqlx(&error))?;
        Ok(counts
            .into_iter()
            .map(|(reason, entries)| ReasonCount {
                reason,
                entries: u64::try_from(entries).unwrap_or_default(),
            })
            .collect())
    }

    async fn find(&self, id: DeadLetterId) -> Result<Option<DeadLetterEntry>, StoreError> {
        let failed = |error: sqlx::Error| self.name().sqlx(&error);
        let row: Option<EntryRow> = sqlx::query_as(include_str!("../sql/dead_letters/find.sql"))
            .bind(id.0)
            .fetch_optional(self.database.queries())
            .await
            .map_err(failed)?;
        let Some(row) = row else {
            return Ok(None);
        };
        let actions: Vec<(String, String, String, String, DateTime<Utc>)> =
            sqlx::query_as(include_str!("../sql/dead_letters/actions.sql"))
                .bind(id.0)
                .fetch_all(self.database.queries())
                .await
                .map_err(failed)?;
        let actions = actions
            .into_iter()
            .map(
                |(action, operator, database_user, reason, at)| RecordedAction {
                    action,
                    operator,
                    database_user,
                    reason,
                    at: timestamp(at),
                },
            )
            .collect();
        row.entry(self.name(), actions).map(Some)
    }

    async fn settle(
        &self,
        id: DeadLetterId,
        settlement: RecordSettlement,
        note: OperatorNote,
    ) -> Result<Option<DeadLetterState>, StoreError> {
        let log_id = self
            .find(id)
            .await?
            .and_then(|entry| entry.summary.log_id)
            .map(|log_id| log_id.uuid());
        let pool = self.database.queries().clone();
        let name = self.name();
        // A task of its own: a command that is ended must not leave a transaction open.
        let settled = tokio::spawn(async move {
            let mut action = Action::begin(&pool).await?;
            let state = match settlement {
                RecordSettlement::Redriven(key) => {
                    action.lower_mark_of(&key).await?;
                    DeadLetterState::Redriven
                }
                RecordSettlement::Settled => DeadLetterState::Settled,
                RecordSettlement::Discarded => DeadLetterState::Discarded,
            };
            let met = action.mark_record(id, state).await?;
            if met == Some(DeadLetterState::Open.number()) {
                action.note(id, log_id, state, &note).await?;
                action.commit().await?;
            } else {
                action.roll_back().await?;
            }
            Ok(met)
        })
        .await
        .map_err(|ended| name.unavailable(ended))?
        .map_err(|error: sqlx::Error| name.sqlx(&error))?;
        settled.map(|met| row::state(name, met)).transpose()
    }
}
