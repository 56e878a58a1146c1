//! A batch in COPY's binary form: one COPY carries every kind of row.
//!
//! Rows go in the order of the key that their statement looks them up by: neighbours share pages,
//! and two transactions that lock rows of the change log lock them in one order.

use crate::postgres::numeric::{self, NUMERIC_LENGTH_MAX};
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

/// Copies the batch into the staging table of the connection's open transaction.
pub(super) async fn stage(
    connection: &mut PgConnection,
    batch: &DecidedBatch,
    extent: Extent,
) -> Result<(), sqlx::Error> {
    let mut copy = connection.copy_in_raw(COPY_STAGING).await?;
    let mut rows = Rows::new();
    let mut frames = Frames::of(batch, extent);
    loop {
        let more = frames.fill(&mut rows);
        // An error here leaves a connection in COPY, which the caller closes.
        copy.send(rows.buffer.as_slice()).await?;
        rows.buffer.clear();
        if !more {
            break;
        }
    }
    copy.finish().await.map(|_| ())
}
