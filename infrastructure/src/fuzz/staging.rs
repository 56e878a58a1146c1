//! Batches as COPY's binary form, read back by a reader of its own after PostgreSQL's page on COPY.
//!
//! What stands in which row is told in `prepare_session.sql`; the checks follow that table and
//! nothing of `staging.rs`.

use super::seed::Mutated;
use super::{catches, drive};
use crate::postgres::batch::copy_bytes;
use crate::postgres::numeric;
use axs_application::port::batch_writer::{
    DecidedBatch, FinalResult, FinalisedEvent, GuardedRead, GuardedWrite,
};
use axs_application::port::change_log::{ChangeLogKey, RecordedReason};
use axs_application::testkit::{EventBuilder, account_id, code, empty_batch, log_id};
use axs_domain::amount::{Amount, UNITS_MAX};
use axs_domain::balance::{Balance, BalanceKey, Delta, VersionedBalance};
use axs_domain::change::{Branch, CurrencyDelta};
use axs_domain::decision::{BalanceWrite, LedgerEntry};
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{AccountId, BalanceVersion, Offset, PartitionId, ShardId};
use axs_domain::text::IdempotencyKey;
use axs_domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Columns of the staging table, the partition among them.
const COLUMNS: usize = 20;

/// Microseconds from 1970 to 2000.
const EPOCH_SHIFT: i64 = 946_684_800_000_000;

const CURRENCIES: [&str; 4] = ["USDT", "BTC", "BNB", "JPY"];

fn seeds() -> Mutated {
    Mutated::hex(include_str!("../../corpus/staging.hex"))
}

/// Takes a batch out of bytes: whatever they are, it is one that a leader might decide.
struct Builder<'b> {
    bytes: std::slice::Iter<'b, u8>,
    versions: BTreeMap<BalanceKey, i64>,
}

impl Builder<'_> {
    fn byte(&mut self) -> u8 {
        self.bytes.next().copied().unwrap_or(0)
    }

    fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound
    }

    fn amount(&mut self) -> Amount {
        let units = match self.below(4) {
            0 => 0,
            1 => i128::from(self.byte()) - 128,
            2 => UNITS_MAX,
            _ => {
                let wide = (0..16).fold(0u128, |n, _| n << 8 | u128::from(self.byte()));
                wide.cast_signed() % UNITS_MAX
            }
        };
        let signed = if self.byte() & 1 == 0 { units } else { -units };
        Amount::try_from_units(signed).unwrap()
    }

    fn text(&mut self) -> String {
        let length = self.below(40);
        let bytes: Vec<u8> = (0..length).map(|_| self.byte()).collect();
        // PostgreSQL's texts hold no NUL.
        String::from_utf8_lossy(&bytes).replace('\0', "\\N")
    }

    fn entry(&mut self, account: i64, index: usize) -> LedgerEntry {
        let currency = code(CURRENCIES[usize::from(self.below(4))]);
        let key = BalanceKey {
            account_id: account_id(account),
            currency,
        };
        let version = self.versions.entry(key).or_default();
        *version += 1;
        let version = BalanceVersion::try_new(*version).unwrap();
        LedgerEntry {
            change_index: index,
            branch: if self.below(2) == 0 {
                Branch::Primary
            } else {
                Branch::Fallback
            },
            applied: CurrencyDelta {
                currency,
                delta: Delta {
                    available: self.amount(),
                    frozen: self.amount(),
                },
            },
            after: VersionedBalance {
                balance: Balance {
                    available: self.amount(),
                    frozen: self.amount(),
                },
                version,
            },
        }
    }

    fn event(&mut self, number: u8) -> FinalisedEvent {
        let account = i64::from(self.below(5)) + 1;
        let key = format!("k{}-{number}", self.below(3));
        let reason = |builder: &mut Self| RecordedReason {
            code: i16::from(builder.byte()),
            message: builder.text(),
        };
        let result = match self.below(4) {
            0 => FinalResult::Rejected(reason(self)),
            1 => FinalResult::Parked(reason(self)),
            _ => {
                let count = usize::from(self.below(3)) + 1;
                FinalResult::Applied((0..count).map(|i| self.entry(account, i)).collect())
            }
        };
        FinalisedEvent {
            log_id: log_id(u128::from(number) + 1),
            key: ChangeLogKey {
                shard_id: shard_of(account),
                account_id: account_id(account),
                idempotency_key: IdempotencyKey::parse(&key).unwrap(),
            },
            fingerprint: Fingerprint::of(&EventBuilder::new(account, &key).build()),
            logged_at: Timestamp::from_unix_micros(i64::from(self.byte()) << self.below(40)),
            offset: Offset::try_new(i64::from(number)).unwrap(),
            result,
        }
    }

    fn batch(mut self) -> DecidedBatch {
        let count = self.below(12);
        let events: Vec<FinalisedEvent> = (0..count).map(|number| self.event(number)).collect();
        let mut after = BTreeMap::new();
        for event in &events {
            for entry in entries(event) {
                let key = BalanceKey {
                    account_id: event.key.account_id,
                    currency: entry.applied.currency,
                };
                after.insert(key, entry.after);
            }
        }
        let reads = (0..self.below(4)).map(|number| GuardedRead {
            shard_id: shard_of(90 + i64::from(number)),
            key: BalanceKey {
                account_id: account_id(90 + i64::from(number)),
                currency: code("USDT"),
            },
            version: BalanceVersion::try_new(i64::from(number)).unwrap(),
        });
        let reads = reads.collect();
        let writes = after.into_iter().map(|(key, after)| GuardedWrite {
            shard_id: shard_of(key.account_id.value()),
            key,
            write: BalanceWrite {
                version_read: BalanceVersion::MIN,
                after,
            },
        });
        DecidedBatch {
            offset_after: Offset::try_new(i64::from(count)).unwrap(),
            writes: writes.collect(),
            events,
            reads,
            ..empty_batch(PartitionId::MIN)
        }
    }
}

fn shard_of(account: i64) -> ShardId {
    ShardId::try_new(i32::try_from(account % 3).unwrap()).unwrap()
}

fn partition_of(account: i64) -> PartitionId {
    PartitionId::try_new(i32::try_from(account % 2).unwrap()).unwrap()
}

/// The batch as two of two partitions, which are staged together.
fn split(batch: &DecidedBatch) -> [Arc<DecidedBatch>; 2] {
    [0, 1].map(|number| {
        let here = |account: AccountId| partition_of(account.value()) == partition_of(number);
        let mut part = DecidedBatch {
            partition: partition_of(number),
            ..batch.clone()
        };
        part.events.retain(|event| here(event.key.account_id));
        part.writes.retain(|write| here(write.key.account_id));
        part.reads.retain(|read| here(read.key.account_id));
        Arc::new(part)
    })
}

fn copy(batch: &DecidedBatch) -> Vec<u8> {
    copy_bytes(&split(batch))
}

fn entries(event: &FinalisedEvent) -> &[LedgerEntry] {
    match &event.result {
        FinalResult::Applied(entries) => entries,
        FinalResult::Rejected(_) | FinalResult::Parked(_) => &[],
    }
}

/// A row as its fields; `None` is NULL.
type Row = Vec<Option<Vec<u8>>>;

/// Reads COPY's binary form.
fn rows(bytes: &[u8]) -> Result<Vec<Row>, String> {
    let mut rest = bytes
        .strip_prefix(b"PGCOPY\n\xff\r\n\0")
        .ok_or("no signature")?;
    let flags = take(&mut rest, 4)?;
    let extension = take(&mut rest, 4)?;
    if flags != [0; 4] || extension != [0; 4] {
        return Err("flags or a header extension".to_owned());
    }
    let mut rows = Vec::new();
    loop {
        let columns = i16::from_be_bytes(take(&mut rest, 2)?.try_into().unwrap());
        if columns == -1 {
            return match rest {
                [] => Ok(rows),
                more => Err(format!("{} bytes after the end", more.len())),
            };
        }
        if usize::try_from(columns) != Ok(COLUMNS) {
            return Err(format!("a row of {columns} columns"));
        }
        let mut row = Row::new();
        for _ in 0..COLUMNS {
            let length = i32::from_be_bytes(take(&mut rest, 4)?.try_into().unwrap());
            row.push(match usize::try_from(length) {
                Ok(length) => Some(take(&mut rest, length)?.to_vec()),
                Err(_) if length == -1 => None,
                Err(_) => return Err(format!("a field of {length} bytes")),
            });
        }
        rows.push(row);
    }
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> Result<&'b [u8], String> {
    let (head, tail) = rest.split_at_checked(count).ok_or("it ends too early")?;
    *rest = tail;
    Ok(head)
}

fn numeric_bytes(amount: Amount) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // Held against big integers by the target `numeric`.
    numeric::encode(amount, &mut bytes);
    Some(bytes)
}

fn be<const N: usize>(bytes: [u8; N]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

fn check(bytes: &[u8], encode: impl Fn(&DecidedBatch) -> Vec<u8>) -> Result<(), String> {
    let builder = Builder {
        bytes: bytes.iter(),
        versions: BTreeMap::new(),
    };
    let batch = builder.batch();
    let mut rows = rows(&encode(&batch))?;
    for row in &mut rows {
        let partition = row.remove(0);
        let account: [u8; 8] = row[1].clone().unwrap_or_default().try_into().unwrap();
        let home = partition_of(i64::from_be_bytes(account));
        if partition != be(home.value().to_be_bytes()) {
            return Err(format!(
                "a row of partition {home} is staged as of {partition:?}"
            ));
        }
    }
    let having = |column: usize| rows.iter().filter(move |row| row[column].is_some());

    // Events: the rows with a status, in the order of the key.
    let mut events: Vec<&FinalisedEvent> = batch.events.iter().collect();
    events.sort_by(|a, b| a.key.cmp(&b.key));
    let expected: Vec<Row> = events.iter().map(|event| event_fields(event)).collect();
    let staged: Vec<Row> = having(7).map(|row| row[..10].to_vec()).collect();
    same("events", &staged, &expected)?;

    let expected: Vec<Row> = events
        .iter()
        .flat_map(|event| {
            entries(event)
                .iter()
                .map(|entry| entry_fields(event, entry))
        })
        .collect();
    let staged: Vec<Row> = having(10)
        .map(|row| [&row[..4], &row[10..13], &row[14..]].concat())
        .collect();
    same("entries", &staged, &expected)?;

    let balances = |moves: bool| {
        let mut found: Vec<Row> = having(13)
            .filter(|row| row[14].is_some() == moves)
            .map(|row| [&row[..2], &row[12..15], &row[17..]].concat())
            .collect();
        found.sort();
        found
    };
    let mut writes: Vec<Row> = batch.writes.iter().map(write_fields).collect();
    writes.sort();
    same("balances that move", &balances(true), &writes)?;
    let mut reads: Vec<Row> = batch.reads.iter().map(read_fields).collect();
    reads.sort();
    same("balances that must stand", &balances(false), &reads)
}

fn same(what: &str, staged: &[Row], expected: &[Row]) -> Result<(), String> {
    if staged == expected {
        return Ok(());
    }
    Err(format!(
        "{what} are staged as {staged:02x?}, expected {expected:02x?}"
    ))
}

fn event_fields(event: &FinalisedEvent) -> Row {
    let (status, reason): (i16, _) = match &event.result {
        FinalResult::Applied(_) => (1, None),
        FinalResult::Rejected(reason) => (2, Some(reason)),
        FinalResult::Parked(reason) => (3, Some(reason)),
    };
    vec![
        be(event.key.shard_id.value().to_be_bytes()),
        be(event.key.account_id.value().to_be_bytes()),
        be(event.offset.value().to_be_bytes()),
        be(*event.log_id.uuid().as_bytes()),
        Some(event.key.idempotency_key.as_str().as_bytes().to_vec()),
        Some(event.fingerprint.as_bytes().to_vec()),
        be((event.logged_at.unix_micros() - EPOCH_SHIFT).to_be_bytes()),
        be(status.to_be_bytes()),
        reason.and_then(|reason| be(reason.code.to_be_bytes())),
        reason.map(|reason| reason.message.as_bytes().to_vec()),
    ]
}

fn entry_fields(event: &FinalisedEvent, entry: &LedgerEntry) -> Row {
    let branch: i16 = match entry.branch {
        Branch::Primary => 0,
        Branch::Fallback => 1,
    };
    let LedgerEntry { applied, after, .. } = entry;
    vec![
        be(event.key.shard_id.value().to_be_bytes()),
        be(event.key.account_id.value().to_be_bytes()),
        be(event.offset.value().to_be_bytes()),
        be(*event.log_id.uuid().as_bytes()),
        be(i16::try_from(entry.change_index).unwrap().to_be_bytes()),
        be(branch.to_be_bytes()),
        Some(applied.currency.as_str().as_bytes().to_vec()),
        be(after.version.value().to_be_bytes()),
        numeric_bytes(applied.delta.available),
        numeric_bytes(applied.delta.frozen),
        numeric_bytes(after.balance.available),
        numeric_bytes(after.balance.frozen),
    ]
}

fn write_fields(write: &GuardedWrite) -> Row {
    let after = write.write.after;
    vec![
        be(write.shard_id.value().to_be_bytes()),
        be(write.key.account_id.value().to_be_bytes()),
        Some(write.key.currency.as_str().as_bytes().to_vec()),
        be(write.write.version_read.value().to_be_bytes()),
        be(after.version.value().to_be_bytes()),
        numeric_bytes(after.balance.available),
        numeric_bytes(after.balance.frozen),
    ]
}

fn read_fields(read: &GuardedRead) -> Row {
    vec![
        be(read.shard_id.value().to_be_bytes()),
        be(read.key.account_id.value().to_be_bytes()),
        Some(read.key.currency.as_str().as_bytes().to_vec()),
        be(read.version.value().to_be_bytes()),
        None,
        None,
        None,
    ]
}

#[test]
fn a_batch_is_staged_whole_and_exactly() {
    drive(&seeds(), |bytes| check(bytes, copy));
}

#[test]
fn a_stage_that_takes_all_for_one_partition_is_caught() {
    let careless = |batch: &DecidedBatch| copy_bytes(&[Arc::new(batch.clone())]);
    assert!(catches(&seeds(), |bytes| check(bytes, careless)));
}

#[test]
fn a_stage_that_loses_the_balances_that_must_stand_is_caught() {
    let forgetful = |batch: &DecidedBatch| {
        let mut batch = batch.clone();
        batch.reads.clear();
        copy(&batch)
    };
    assert!(catches(&seeds(), |bytes| check(bytes, forgetful)));
}

#[test]
fn a_stage_that_takes_the_first_balance_for_the_last_is_caught() {
    let hasty = |batch: &DecidedBatch| {
        let mut batch = batch.clone();
        for write in &mut batch.writes {
            let first = batch.events.iter().find_map(|event| {
                let of_account = event.key.account_id == write.key.account_id;
                let mut entries = entries(event).iter();
                of_account.then(|| entries.find(|e| e.applied.currency == write.key.currency))?
            });
            if let Some(first) = first {
                write.write.after = first.after;
            }
        }
        copy(&batch)
    };
    assert!(catches(&seeds(), |bytes| check(bytes, hasty)));
}
