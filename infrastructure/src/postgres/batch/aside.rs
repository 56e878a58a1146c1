//! What a batch sets aside for people: dead letters and parked events. Both are rare, so neither
//! costs a batch without them a statement.

use super::transaction::Stop;
use axs_application::port::batch_writer::{
    DecidedBatch, FinalResult, FinalisedEvent, WriteError, WriteReceipt,
};
use axs_application::port::change_log::RecordedReason;
use axs_domain::time::Timestamp;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

const INSERT_DEAD_LETTERS: &str = include_str!("../sql/batch/insert_dead_letters.sql");
const INSERT_PARKED_EVENTS: &str = include_str!("../sql/batch/insert_parked_events.sql");

/// Keeps the batch's dead letters. One that is there already, byte by byte, was delivered again.
pub(super) async fn insert_dead_letters(
    connection: &mut PgConnection,
    batch: &DecidedBatch,
) -> Result<(), Stop> {
    let letters = &batch.dead_letters;
    if letters.is_empty() {
        return Ok(());
    }
    let offsets: Vec<i64> = letters.iter().map(|l| l.offset.value()).collect();
    let log_ids: Vec<Option<Uuid>> = letters
        .iter()
        .map(|letter| letter.log_id.map(|id| id.uuid()))
        .collect();
    let reasons: Vec<&str> = letters.iter().map(|l| l.reason.word()).collect();
    let messages: Vec<&str> = letters.iter().map(|l| l.message.as_str()).collect();
    let record_keys: Vec<&[u8]> = letters.iter().map(|l| l.record_key.as_ref()).collect();
    let payloads: Vec<&[u8]> = letters.iter().map(|l| l.payload.as_ref()).collect();
    let row = sqlx::query(INSERT_DEAD_LETTERS)
        .bind(batch.partition.value())
        .bind(offsets)
        .bind(log_ids)
        .bind(reasons)
        .bind(messages)
        .bind(record_keys)
        .bind(payloads)
        .persistent(false)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| Stop::before_commit(&error))?;
    let count = |column: &str| {
        row.try_get::<i64, _>(column)
            .map_err(|error| Stop::before_commit(&error))
    };
    let (written, known) = (count("written")?, count("known")?);
    exactly("dead letters", letters.len(), written + known)
}

/// Lists the events that the batch parks, under the time of their decision.
pub(super) async fn insert_parked_events(
    connection: &mut PgConnection,
    batch: &DecidedBatch,
    receipt: WriteReceipt,
) -> Result<(), Stop> {
    let parked: Vec<(&FinalisedEvent, &RecordedReason)> = batch
        .events
        .iter()
        .filter_map(|event| match &event.result {
            FinalResult::Parked(reason) => Some((event, reason)),
            FinalResult::Applied(_) | FinalResult::Rejected(_) => None,
        })
        .collect();
    if parked.is_empty() {
        return Ok(());
    }
    let written = sqlx::query(INSERT_PARKED_EVENTS)
        .bind(batch.partition.value())
        .bind(moment(receipt.decided_at)?)
        .bind(column(&parked, |event, _| event.log_id.uuid()))
        .bind(column(&parked, |event, _| event.key.shard_id.value()))
        .bind(column(&parked, |event, _| event.key.account_id.value()))
        .bind(column(&parked, |event, _| {
            event.key.idempotency_key.as_str().to_owned()
        }))
        .bind(column(&parked, |event, _| event.offset.value()))
        .bind(column(&parked, |_, reason| reason.message.clone()))
        .persistent(false)
        .execute(&mut *connection)
        .await
        .map_err(|error| Stop::before_commit(&error))?
        .rows_affected();
    exactly(
        "parked events",
        parked.len(),
        i64::try_from(written).unwrap_or(i64::MAX),
    )
}

fn column<T>(
    parked: &[(&FinalisedEvent, &RecordedReason)],
    value: impl Fn(&FinalisedEvent, &RecordedReason) -> T,
) -> Vec<T> {
    parked
        .iter()
        .map(|(event, reason)| value(event, reason))
        .collect()
}

fn moment(at: Timestamp) -> Result<DateTime<Utc>, Stop> {
    DateTime::from_timestamp_micros(at.unix_micros()).ok_or_else(|| {
        Stop::Because(WriteError::Moved(format!(
            "the time of the decision, {at}, is out of range"
        )))
    })
}

/// A count that does not come out is never guessed around.
fn exactly(what: &str, wanted: usize, reached: i64) -> Result<(), Stop> {
    if usize::try_from(reached).is_ok_and(|reached| reached == wanted) {
        Ok(())
    } else {
        Err(Stop::Because(WriteError::Moved(format!(
            "wanted {wanted} {what}; reached {reached}"
        ))))
    }
}
