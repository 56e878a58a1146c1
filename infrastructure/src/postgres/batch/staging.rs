//! A batch in COPY's binary form: one COPY carries every kind of row.
//!
//! Rows go in the order of the key that their statement looks them up by: neighbours share pages,
//! and two transactions that lock rows of the change log lock them in one order.

use crate::postgres::numeric;
use axs_application::port::batch_writer::{
    DecidedBatch, FinalResult, FinalisedEvent, GuardedRead, GuardedWrite,
};
use axs_domain::amount::Amount;
use axs_domain::balance::BalanceKey;
use axs_domain::decision::LedgerEntry;
use axs_domain::id::ShardId;
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use sqlx::PgConnection;

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

/// The table partitions of the staging table, by the number in its column `kind`.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Event = 0,
    Entry = 1,
    Move = 2,
    Opening = 3,
    Read = 4,
}

/// Which rows of the batch a transaction needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of them.
    Whole,
    /// Those that the store is compared with: all but the ledger entries.
    Guards,
}

/// One row of the staging table.
#[derive(Debug, Clone, Copy)]
enum StagedRow<'b> {
    Event(&'b FinalisedEvent),
    Entry(&'b FinalisedEvent, &'b LedgerEntry),
    Write(&'b GuardedWrite),
    Read(&'b GuardedRead),
}

/// Copies the batch into the staging table of the connection's open transaction.
///
/// # Errors
/// The connection may still be in COPY: close it.
pub(super) async fn stage(
    connection: &mut PgConnection,
    batch: &DecidedBatch,
    extent: Extent,
) -> Result<(), sqlx::Error> {
    let mut copy = connection.copy_in_raw(COPY_STAGING).await?;
    let mut frame = Frame {
        bytes: Vec::with_capacity(FRAME_BYTES + ROW_BYTES_MAX),
    };
    frame.bytes.extend_from_slice(HEADER);
    for row in staged_rows(batch, extent) {
        frame.row(row);
        if frame.bytes.len() >= FRAME_BYTES {
            copy.send(frame.bytes.as_slice()).await?;
            frame.bytes.clear();
        }
    }
    frame.bytes.extend_from_slice(&TRAILER);
    copy.send(frame.bytes.as_slice()).await?;
    copy.finish().await.map(|_| ())
}

fn staged_rows(batch: &DecidedBatch, extent: Extent) -> Vec<StagedRow<'_>> {
    let mut events: Vec<&FinalisedEvent> = batch.events.iter().collect();
    events.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let mut writes: Vec<&GuardedWrite> = batch.writes.iter().collect();
    writes.sort_unstable_by_key(|write| (write.shard_id, write.key));
    let mut rows: Vec<StagedRow<'_>> = events.into_iter().map(StagedRow::Event).collect();
    if extent == Extent::Whole {
        rows.extend(batch.events.iter().flat_map(|event| {
            entries(event)
                .iter()
                .map(move |entry| StagedRow::Entry(event, entry))
        }));
    }
    rows.extend(writes.into_iter().map(StagedRow::Write));
    rows.extend(batch.reads.iter().map(StagedRow::Read));
    rows
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
    fn row(&mut self, row: StagedRow<'_>) {
        self.bytes.extend_from_slice(&COLUMNS.to_be_bytes());
        match row {
            StagedRow::Event(event) => self.event(event),
            StagedRow::Entry(event, entry) => self.entry(event, entry),
            StagedRow::Write(write) => self.write(write),
            StagedRow::Read(read) => self.read(read),
        }
    }

    fn event(&mut self, event: &FinalisedEvent) {
        let (status, reason) = match &event.result {
            FinalResult::Applied(_) => (LogStatus::Applied, None),
            FinalResult::Rejected(reason) => (LogStatus::Rejected, Some(reason)),
            FinalResult::Parked(reason) => (LogStatus::Parked, Some(reason)),
        };
        self.place(
            Kind::Event,
            event.key.shard_id,
            event.key.account_id.value(),
        );
        self.field(&event.offset.value().to_be_bytes());
        self.field(event.log_id.uuid().as_bytes());
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
        // change_index, branch, currency_code, both versions, four amounts
        self.nulls(9);
    }

    fn entry(&mut self, event: &FinalisedEvent, entry: &LedgerEntry) {
        self.place(
            Kind::Entry,
            event.key.shard_id,
            event.key.account_id.value(),
        );
        self.field(&event.offset.value().to_be_bytes());
        self.field(event.log_id.uuid().as_bytes());
        // idempotency_key, fingerprint, logged_at, status, reason_code, reason
        self.nulls(6);
        // Events hold far fewer changes; what does not fit breaks the ledger's key, in sight.
        let change_index = i16::try_from(entry.change_index).unwrap_or(i16::MAX);
        self.field(&change_index.to_be_bytes());
        self.field(&entry.branch.number().to_be_bytes());
        self.field(entry.applied.currency.as_str().as_bytes());
        self.nulls(1);
        self.field(&entry.after.version.value().to_be_bytes());
        self.amount(entry.applied.delta.available);
        self.amount(entry.applied.delta.frozen);
        self.amount(entry.after.balance.available);
        self.amount(entry.after.balance.frozen);
    }

    fn write(&mut self, guarded: &GuardedWrite) {
        let kind = if is_opening(guarded) {
            Kind::Opening
        } else {
            Kind::Move
        };
        self.balance(kind, guarded.shard_id, &guarded.key);
        self.field(&guarded.write.version_read.value().to_be_bytes());
        self.field(&guarded.write.after.version.value().to_be_bytes());
        self.nulls(2);
        self.amount(guarded.write.after.balance.available);
        self.amount(guarded.write.after.balance.frozen);
    }

    fn read(&mut self, read: &GuardedRead) {
        self.balance(Kind::Read, read.shard_id, &read.key);
        self.field(&read.version.value().to_be_bytes());
        // version, four amounts
        self.nulls(5);
    }

    fn place(&mut self, kind: Kind, shard_id: ShardId, account_id: i64) {
        self.field(&(kind as i16).to_be_bytes());
        self.field(&shard_id.value().to_be_bytes());
        self.field(&account_id.to_be_bytes());
    }

    fn balance(&mut self, kind: Kind, shard_id: ShardId, key: &BalanceKey) {
        self.place(kind, shard_id, key.account_id.value());
        // from record_offset to branch
        self.nulls(10);
        self.field(key.currency.as_str().as_bytes());
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
