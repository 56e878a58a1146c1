//! Ending the parking of events.

use super::action::Action;
use crate::postgres::error::StoreName;
use crate::postgres::pool::Database;
use async_trait::async_trait;
use axs_application::port::change_log::ChangeLogKey;
use axs_application::port::dead_letters::{DeadLetterId, DeadLetterState, OperatorNote};
use axs_application::port::parked_events::{MetEvent, ParkedEvents};
use axs_application::port::store_error::StoreError;
use axs_domain::id::LogId;
use axs_domain::log_status::LogStatus;
use axs_domain::text::IdempotencyKey;
use chrono::{DateTime, Utc};
use shaku::Component;
use sqlx::{FromRow, PgPool};
use std::sync::Arc;
use uuid::Uuid;

/// [`ParkedEvents`] in the tables `parked_events` and `balance_change_states`.
#[derive(Component)]
#[shaku(interface = ParkedEvents)]
pub struct PgParkedEvents {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

#[derive(FromRow)]
struct ParkedRow {
    log_id: Uuid,
    shard_id: i32,
    account_id: i64,
    idempotency_key: String,
    status: i16,
    logged_at: DateTime<Utc>,
}

impl ParkedRow {
    fn met(&self, name: StoreName<'_>) -> Result<MetEvent, StoreError> {
        Ok(MetEvent {
            key: ChangeLogKey {
                shard_id: name.shard_id(self.shard_id)?,
                account_id: name.account_id(self.account_id)?,
                idempotency_key: IdempotencyKey::parse(&self.idempotency_key).map_err(|error| {
                    name.invalid("idempotency_key", &self.idempotency_key, error)
                })?,
            },
            log_id: LogId::new(self.log_id),
            status: LogStatus::from_number(self.status)
                .ok_or_else(|| name.invalid("status", self.status, "is none"))?,
            changed: false,
        })
    }
}

/// What is to be done with a parked row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Redrive,
    Discard,
}

impl PgParkedEvents {
    /// The parked events of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }

    async fn look(
        &self,
        id: DeadLetterId,
    ) -> Result<Option<(MetEvent, DateTime<Utc>)>, StoreError> {
        let name = self.name();
        let row: Option<ParkedRow> =
            sqlx::query_as(include_str!("../sql/dead_letters/find_parked.sql"))
                .bind(id.0)
                .fetch_optional(self.database.queries())
                .await
                .map_err(|error| name.sqlx(&error))?;
        row.map(|row| Ok((row.met(name)?, row.logged_at)))
            .transpose()
    }

    async fn end(
        &self,
        id: DeadLetterId,
        ending: Ending,
        note: OperatorNote,
    ) -> Result<Option<MetEvent>, StoreError> {
        // Before anything is locked: most of those that are asked for twice need no lock.
        let Some((met, logged_at)) = self.look(id).await? else {
            return Ok(None);
        };
        if met.status != LogStatus::Parked {
            return Ok(Some(met));
        }
        let pool = self.database.queries().clone();
        let name = self.name();
        let found = met.clone();
        // A task of its own: a command that is ended must not leave a transaction open.
        let ended =
            tokio::spawn(
                async move { end_parking(&pool, id, &found, logged_at, ending, &note).await },
            )
            .await
            .map_err(|panicked| name.unavailable(panicked))?
            .map_err(|error| name.sqlx(&error))?;
        if ended {
            let changed = true;
            return Ok(Some(MetEvent { changed, ..met }));
        }
        // Somebody else was quicker: what they left is the answer.
        Ok(self.look(id).await?.map(|(met, _)| met))
    }
}

/// Whether this call did it.
async fn end_parking(
    pool: &PgPool,
    id: DeadLetterId,
    found: &MetEvent,
    logged_at: DateTime<Utc>,
    ending: Ending,
    note: &OperatorNote,
) -> Result<bool, sqlx::Error> {
    let mut action = Action::begin(pool).await?;
    let (done, state) = match ending {
        Ending::Redrive => {
            action.lower_mark(found.key.shard_id, logged_at).await?;
            let redriven = action.redrive(&found.key, found.log_id).await?;
            (redriven, DeadLetterState::Redriven)
        }
        Ending::Discard => {
            let discarded = action
                .discard(&found.key, found.log_id, note.reason())
                .await?;
            (discarded, DeadLetterState::Discarded)
        }
    };
    if !done {
        action.roll_back().await?;
        return Ok(false);
    }
    action.mark_parked(id, state).await?;
    let log_id = Some(found.log_id.uuid());
    action.note(id, log_id, state, note).await?;
    action.commit().await?;
    Ok(true)
}

#[async_trait]
impl ParkedEvents for PgParkedEvents {
    async fn redrive(
        &self,
        id: DeadLetterId,
        note: OperatorNote,
    ) -> Result<Option<MetEvent>, StoreError> {
        self.end(id, Ending::Redrive, note).await
    }

    async fn discard(
        &self,
        id: DeadLetterId,
        note: OperatorNote,
    ) -> Result<Option<MetEvent>, StoreError> {
        self.end(id, Ending::Discard, note).await
    }
}
