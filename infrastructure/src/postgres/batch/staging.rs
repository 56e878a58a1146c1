//! Batches in COPY's binary form, flat: what a row stands for is told in `prepare_session.sql`.
//!
//! Rows go in the order of the change log's key: neighbours share pages, and two transactions that
//! lock rows of the change log lock them in one order.

use crate::postgres::numeric;
use axs_application::port::batch_writer::{
    DecidedBatch, FinalResult, FinalisedEvent, GuardedRead, GuardedWrite,
};
use axs_domain::amount::Amount;
use axs_domain::balance::BalanceKey;
use axs_domain::decision::LedgerEntry;
use axs_domain::id::{AccountId, BalanceVersion, PartitionId, ShardId};
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use sqlx::PgConnection;
use std::collections::HashMap;
use std::sync::Arc;

/// One frame and one flush for so many bytes: small ones would cost a system call each.
const FRAME_BYTES: usize = 512 * 1024;

/// Room for the row that fills a frame.
const ROW_BYTES_MAX: usize = 2 * 1024;

/// See PostgreSQL's page on COPY: signature, no flags, no header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The length that stands for NULL.
const NULL: i32 = -1;

/// Bytes of a field's length.
const LENGTH_BYTES: usize = 4;

/// In place of a row's count of columns: no more rows.
const TRAILER: [u8; 2] = (-1i16).to_be_bytes();

const COPY_STAGING: &str = include_str!("../sql/batch/copy_staging.sql");

/// Columns named in `copy_staging.sql`.
const COLUMNS: i16 = 20;

/// Microseconds from the Unix epoch to 2000-01-01, from which the binary form counts.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// One row of the staging table.
#[derive(Debug, Clone, Copy)]
struct StagedRow<'b> {
    partition: PartitionId,
    shard_id: ShardId,
    account_id: AccountId,
    /// The event to finalise, in the first of its rows.
    event: Option<&'b FinalisedEvent>,
    /// The ledger entry, and the event that leaves it.
    entry: Option<(&'b FinalisedEvent, &'b LedgerEntry)>,
    /// The balance that moves, in the row of the last entry that moved it.
    write: Option<&'b GuardedWrite>,
    /// The balance that must stand.
    read: Option<&'b GuardedRead>,
}

impl StagedRow<'_> {
    const fn at(partition: PartitionId, shard_id: ShardId, account_id: AccountId) -> Self {
        Self {
            partition,
            shard_id,
            account_id,
            event: None,
            entry: None,
            write: None,
            read: None,
        }
    }
}

/// Copies the batches, of different partitions, into the staging table of the connection's open
/// transaction.
///
/// # Errors
/// The connection may still be in COPY: close it.
pub(super) async fn stage(
    connection: &mut PgConnection,
    batches: &[Arc<DecidedBatch>],
) -> Result<(), sqlx::Error> {
    let mut copy = connection.copy_in_raw(COPY_STAGING).await?;
    let mut frame = Frame {
        bytes: Vec::with_capacity(FRAME_BYTES + ROW_BYTES_MAX),
    };
    frame.bytes.extend_from_slice(HEADER);
    for row in staged_rows(batches) {
        frame.row(&row);
        if frame.bytes.len() >= FRAME_BYTES {
            copy.send(frame.bytes.as_slice()).await?;
            frame.bytes.clear();
        }
    }
    fail::fail_point!("batch.in_copy");
    frame.bytes.extend_from_slice(&TRAILER);
    copy.send(frame.bytes.as_slice()).await?;
    copy.finish().await.map(|_| ())
}

/// All that [`stage`] sends, in one piece.
#[cfg(test)]
pub(crate) fn copy_bytes(batches: &[Arc<DecidedBatch>]) -> Vec<u8> {
    let mut frame = Frame {
        bytes: HEADER.to_vec(),
    };
    for row in staged_rows(batches) {
        frame.row(&row);
    }
    frame.bytes.extend_from_slice(&TRAILER);
    frame.bytes
}

fn staged_rows(batches: &[Arc<DecidedBatch>]) -> Vec<StagedRow<'_>> {
    let of_all = |count: fn(&DecidedBatch) -> usize| -> usize {
        batches.iter().map(|batch| count(batch)).sum()
    };
    let mut events: Vec<(PartitionId, &FinalisedEvent)> =
        Vec::with_capacity(of_all(|batch| batch.events.len()));
    // Of one account, as of its balances, only one partition has any.
    let mut unplaced: HashMap<BalanceKey, &GuardedWrite> =
        HashMap::with_capacity(of_all(|batch| batch.writes.len()));
    for batch in batches {
        events.extend(batch.events.iter().map(|event| (batch.partition, event)));
        unplaced.extend(batch.writes.iter().map(|write| (write.key, write)));
    }
    events.sort_unstable_by(|(_, a), (_, b)| a.key.cmp(&b.key));
    let mut rows = Vec::with_capacity(events.len() + of_all(|batch| batch.reads.len()));
    for (partition, event) in events {
        let place = StagedRow::at(partition, event.key.shard_id, event.key.account_id);
        let mut unfinished = Some(event);
        for entry in entries(event) {
            let key = BalanceKey {
                account_id: event.key.account_id,
                currency: entry.applied.currency,
            };
            let is_last = unplaced
                .get(&key)
                .is_some_and(|write| is_left_by(write, event, entry));
            rows.push(StagedRow {
                event: unfinished.take(),
                entry: Some((event, entry)),
                write: if is_last { unplaced.remove(&key) } else { None },
                ..place
            });
        }
        if unfinished.is_some() {
            rows.push(StagedRow {
                event: unfinished,
                ..place
            });
        }
    }
    for batch in batches {
        // A balance that no entry leaves as it is to be: none, unless the caller errs, and then the
        // store must say so.
        rows.extend(batch.writes.iter().filter_map(|write| {
            let write = unplaced.remove(&write.key)?;
            let place = StagedRow::at(batch.partition, write.shard_id, write.key.account_id);
            Some(StagedRow {
                write: Some(write),
                ..place
            })
        }));
        rows.extend(batch.reads.iter().map(|read| StagedRow {
            read: Some(read),
            ..StagedRow::at(batch.partition, read.shard_id, read.key.account_id)
        }));
    }
    rows
}

/// Whether the balance is to be as the event's entry leaves it. Versions have no gaps, so one entry
/// at most does.
fn is_left_by(write: &GuardedWrite, event: &FinalisedEvent, entry: &LedgerEntry) -> bool {
    write.shard_id == event.key.shard_id && write.write.after == entry.after
}

/// The entries that the event leaves: none unless it was applied.
pub(super) fn entries(event: &FinalisedEvent) -> &[LedgerEntry] {
    match &event.result {
        FinalResult::Applied(entries) => entries,
        FinalResult::Rejected(_) | FinalResult::Parked(_) => &[],
    }
}

/// Whether no row of the balance exists yet.
pub(super) const fn is_opening(write: &GuardedWrite) -> bool {
    write.write.version_read.value() == 0
}

/// A run of rows in the binary form.
struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    fn row(&mut self, row: &StagedRow<'_>) {
        self.bytes.extend_from_slice(&COLUMNS.to_be_bytes());
        self.field(&row.partition.value().to_be_bytes());
        self.field(&row.shard_id.value().to_be_bytes());
        self.field(&row.account_id.value().to_be_bytes());
        match row.event.or(row.entry.map(|(event, _)| event)) {
            Some(event) => {
                self.field(&event.offset.value().to_be_bytes());
                self.field(event.log_id.uuid().as_bytes());
            }
            None => self.nulls(2),
        }
        self.event(row.event);
        self.entry_head(row.entry);
        self.balance(row);
    }

    /// From idempotency_key to reason.
    fn event(&mut self, event: Option<&FinalisedEvent>) {
        let Some(event) = event else {
            return self.nulls(6);
        };
        let (status, reason) = match &event.result {
            FinalResult::Applied(_) => (LogStatus::Applied, None),
            FinalResult::Rejected(reason) => (LogStatus::Rejected, Some(reason)),
            FinalResult::Parked(reason) => (LogStatus::Parked, Some(reason)),
        };
        self.field(event.key.idempotency_key.as_str().as_bytes());
        self.field(event.fingerprint.as_bytes());
        self.timestamp(event.logged_at);
        self.field(&status.number().to_be_bytes());
        match reason {
            Some(reason) => {
                self.field(&reason.code.to_be_bytes());
                self.field(reason.message.as_bytes());
            }
            None => self.nulls(2),
        }
    }

    /// change_index and branch.
    fn entry_head(&mut self, entry: Option<(&FinalisedEvent, &LedgerEntry)>) {
        let Some((_, entry)) = entry else {
            return self.nulls(2);
        };
        // Events hold far fewer changes; what does not fit breaks the ledger's key, in sight.
        let change_index = i16::try_from(entry.change_index).unwrap_or(i16::MAX);
        self.field(&change_index.to_be_bytes());
        self.field(&entry.branch.number().to_be_bytes());
    }

    /// From currency_code to frozen.
    fn balance(&mut self, row: &StagedRow<'_>) {
        let entry = row.entry.map(|(_, entry)| entry);
        let currency = entry
            .map(|entry| entry.applied.currency)
            .or(row.write.map(|write| write.key.currency))
            .or(row.read.map(|read| read.key.currency));
        match currency {
            Some(currency) => self.field(currency.as_str().as_bytes()),
            None => self.nulls(1),
        }
        let version_read = row
            .write
            .map(|write| write.write.version_read)
            .or(row.read.map(|read| read.version));
        self.version(version_read);
        let after = entry
            .map(|entry| entry.after)
            .or(row.write.map(|write| write.write.after));
        self.version(after.map(|after| after.version));
        self.parts(entry.map(|entry| (entry.applied.delta.available, entry.applied.delta.frozen)));
        self.parts(after.map(|after| (after.balance.available, after.balance.frozen)));
    }

    fn version(&mut self, version: Option<BalanceVersion>) {
        match version {
            Some(version) => self.field(&version.value().to_be_bytes()),
            None => self.nulls(1),
        }
    }

    fn parts(&mut self, parts: Option<(Amount, Amount)>) {
        match parts {
            Some((available, frozen)) => {
                self.amount(available);
                self.amount(frozen);
            }
            None => self.nulls(2),
        }
    }

    fn timestamp(&mut self, moment: Timestamp) {
        let micros = moment.unix_micros().saturating_sub(POSTGRES_EPOCH_MICROS);
        self.field(&micros.to_be_bytes());
    }

    fn amount(&mut self, amount: Amount) {
        let at = self.bytes.len();
        self.length(0);
        numeric::encode(amount, &mut self.bytes);
        let length = self.bytes.len() - at - LENGTH_BYTES;
        self.bytes[at..at + LENGTH_BYTES].copy_from_slice(&wire_length(length).to_be_bytes());
    }

    fn field(&mut self, value: &[u8]) {
        self.length(value.len());
        self.bytes.extend_from_slice(value);
    }

    fn nulls(&mut self, count: usize) {
        for _ in 0..count {
            self.bytes.extend_from_slice(&NULL.to_be_bytes());
        }
    }

    fn length(&mut self, length: usize) {
        self.bytes
            .extend_from_slice(&wire_length(length).to_be_bytes());
    }
}

/// Every text here is bounded far below 2 GiB; a longer one would be refused by the server.
fn wire_length(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
