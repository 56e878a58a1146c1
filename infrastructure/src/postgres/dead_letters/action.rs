//! One transaction of an operator.

use axs_application::port::change_log::ChangeLogKey;
use axs_application::port::dead_letters::{DeadLetterId, DeadLetterState, OperatorNote};
use axs_domain::id::{LogId, ShardId};
use axs_domain::rejection::RejectionCode;
use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};
use uuid::Uuid;

const BEGIN: &str = include_str!("../sql/dead_letters/begin_action.sql");
const LOCK_LAYOUT: &str = include_str!("../sql/dead_letters/lock_layout.sql");
const LOWER_MARK: &str = include_str!("../sql/dead_letters/lower_mark.sql");
const LOGGED_AT: &str = include_str!("../sql/dead_letters/logged_at.sql");
const LOCK_RECORD: &str = include_str!("../sql/dead_letters/lock_record.sql");
const MARK_RECORD: &str = include_str!("../sql/dead_letters/mark_record.sql");
const MARK_PARKED: &str = include_str!("../sql/dead_letters/mark_parked.sql");
const REDRIVE_STATE: &str = include_str!("../sql/dead_letters/redrive_state.sql");
const DISCARD_STATE: &str = include_str!("../sql/dead_letters/discard_state.sql");
const NOTE_ACTION: &str = include_str!("../sql/dead_letters/note_action.sql");

/// What an operator does with one entry. Dropped without a commit, nothing is done.
pub(super) struct Action(Transaction<'static, Postgres>);

impl Action {
    pub(super) async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        pool.begin_with(BEGIN).await.map(Self)
    }

    /// Has the relay look again from a row on that was written at `logged_at`.
    pub(super) async fn lower_mark(
        &mut self,
        shard_id: ShardId,
        logged_at: DateTime<Utc>,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(LOCK_LAYOUT).execute(&mut *self.0).await?;
        let lowered = sqlx::query(LOWER_MARK)
            .bind(shard_id.value())
            .bind(logged_at)
            .execute(&mut *self.0)
            .await?;
        // A shard of no partition: nobody would ever publish it.
        if lowered.rows_affected() == 1 {
            Ok(())
        } else {
            Err(sqlx::Error::RowNotFound)
        }
    }

    /// The same for the row with this key.
    pub(super) async fn lower_mark_of(&mut self, key: &ChangeLogKey) -> Result<(), sqlx::Error> {
        let logged_at = sqlx::query_scalar(LOGGED_AT)
            .bind(key.shard_id.value())
            .bind(key.account_id.value())
            .bind(key.idempotency_key.as_str())
            .fetch_one(&mut *self.0)
            .await?;
        self.lower_mark(key.shard_id, logged_at).await
    }

    /// Notes the state of a dead record that is open; gives the state that was met.
    pub(super) async fn mark_record(
        &mut self,
        id: DeadLetterId,
        state: DeadLetterState,
    ) -> Result<Option<i16>, sqlx::Error> {
        let met: Option<i16> = sqlx::query_scalar(LOCK_RECORD)
            .bind(id.0)
            .fetch_optional(&mut *self.0)
            .await?;
        if met == Some(DeadLetterState::Open.number()) {
            sqlx::query(MARK_RECORD)
                .bind(id.0)
                .bind(state.number())
                .execute(&mut *self.0)
                .await?;
        }
        Ok(met)
    }

    /// Makes a parked row INIT; `false` when it is not PARKED.
    pub(super) async fn redrive(
        &mut self,
        key: &ChangeLogKey,
        log_id: LogId,
    ) -> Result<bool, sqlx::Error> {
        let redriven = sqlx::query(REDRIVE_STATE)
            .bind(key.shard_id.value())
            .bind(key.account_id.value())
            .bind(key.idempotency_key.as_str())
            .bind(log_id.uuid())
            .execute(&mut *self.0)
            .await?;
        Ok(redriven.rows_affected() == 1)
    }

    /// Makes a parked row REJECTED; `false` when it is not PARKED.
    pub(super) async fn discard(
        &mut self,
        key: &ChangeLogKey,
        log_id: LogId,
        reason: &str,
    ) -> Result<bool, sqlx::Error> {
        let discarded = sqlx::query(DISCARD_STATE)
            .bind(key.shard_id.value())
            .bind(key.account_id.value())
            .bind(key.idempotency_key.as_str())
            .bind(log_id.uuid())
            .bind(RejectionCode::Discarded.number())
            .bind(reason)
            .execute(&mut *self.0)
            .await?;
        Ok(discarded.rows_affected() == 1)
    }

    /// Notes the state of a parked event's entry.
    pub(super) async fn mark_parked(
        &mut self,
        id: DeadLetterId,
        state: DeadLetterState,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(MARK_PARKED)
            .bind(id.0)
            .bind(state.number())
            .execute(&mut *self.0)
            .await
            .map(|_| ())
    }

    /// Leaves the record of who did it and why.
    pub(super) async fn note(
        &mut self,
        id: DeadLetterId,
        log_id: Option<Uuid>,
        state: DeadLetterState,
        note: &OperatorNote,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(NOTE_ACTION)
            .bind(id.0)
            .bind(log_id)
            .bind(state.word().to_uppercase())
            .bind(note.operator())
            .bind(note.reason())
            .execute(&mut *self.0)
            .await
            .map(|_| ())
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.0.commit().await
    }

    pub(super) async fn roll_back(self) -> Result<(), sqlx::Error> {
        self.0.rollback().await
    }
}
