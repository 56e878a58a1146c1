//! Rows as entries.

use crate::postgres::error::StoreName;
use crate::postgres::stored::timestamp;
use axs_application::port::change_log::ChangeLogKey;
use axs_application::port::dead_letters::{
    DeadLetterBody, DeadLetterEntry, DeadLetterId, DeadLetterKind, DeadLetterState,
    DeadLetterSummary, RecordedAction,
};
use axs_application::port::store_error::StoreError;
use axs_domain::id::{AccountId, LogId};
use axs_domain::text::IdempotencyKey;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(FromRow)]
pub(super) struct SummaryRow {
    dead_letter_id: i64,
    kind: i16,
    state: i16,
    partition: i32,
    record_offset: i64,
    log_id: Option<Uuid>,
    account_id: Option<i64>,
    record_key: Option<Vec<u8>>,
    reason: String,
    message: String,
    at: DateTime<Utc>,
    times: i32,
}

impl SummaryRow {
    pub(super) fn summary(&self, name: StoreName<'_>) -> Result<DeadLetterSummary, StoreError> {
        let account_id = match self.account_id {
            Some(account_id) => Some(name.account_id(account_id)?),
            None => self.record_key.as_deref().and_then(account_of_key),
        };
        Ok(DeadLetterSummary {
            id: DeadLetterId(self.dead_letter_id),
            kind: kind(name, self.kind)?,
            state: state(name, self.state)?,
            partition: name.partition(self.partition)?,
            offset: name.offset(self.record_offset)?,
            log_id: self.log_id.map(LogId::new),
            account_id,
            reason: self.reason.clone(),
            message: self.message.clone(),
            at: timestamp(self.at),
            times: self.times,
        })
    }
}

fn kind(name: StoreName<'_>, number: i16) -> Result<DeadLetterKind, StoreError> {
    DeadLetterKind::ALL
        .into_iter()
        .find(|kind| kind.number() == number)
        .ok_or_else(|| name.invalid("kind", number, "is none"))
}

pub(super) fn state(name: StoreName<'_>, number: i16) -> Result<DeadLetterState, StoreError> {
    DeadLetterState::ALL
        .into_iter()
        .find(|state| state.number() == number)
        .ok_or_else(|| name.invalid("state", number, "is none"))
}

/// The account that a record's key names, if it is one: strangers write what they like.
fn account_of_key(key: &[u8]) -> Option<AccountId> {
    let number = std::str::from_utf8(key).ok()?.parse().ok()?;
    AccountId::try_new(number).ok()
}

#[derive(FromRow)]
pub(super) struct EntryRow {
    #[sqlx(flatten)]
    summary: SummaryRow,
    payload: Option<Vec<u8>>,
    shard_id: Option<i32>,
    idempotency_key: Option<String>,
}

impl EntryRow {
    pub(super) fn entry(
        self,
        name: StoreName<'_>,
        actions: Vec<RecordedAction>,
    ) -> Result<DeadLetterEntry, StoreError> {
        let summary = self.summary.summary(name)?;
        let body = match (self.shard_id, self.idempotency_key, summary.account_id) {
            (Some(shard_id), Some(key), Some(account_id)) => DeadLetterBody::Row(ChangeLogKey {
                shard_id: name.shard_id(shard_id)?,
                account_id,
                idempotency_key: IdempotencyKey::parse(&key)
                    .map_err(|error| name.invalid("idempotency_key", &key, error))?,
            }),
            _ => DeadLetterBody::Record {
                key: Bytes::from(self.summary.record_key.unwrap_or_default()),
                payload: Bytes::from(self.payload.unwrap_or_default()),
            },
        };
        Ok(DeadLetterEntry {
            summary,
            body,
            actions,
        })
    }
}
