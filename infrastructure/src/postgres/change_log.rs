//! The change log: the durable record of every request.
//!
//! What `append` writes is one statement, hence one transaction and one commit: nothing is left
//! open when its caller goes away. It takes all keys for new (`append_all_or_none.sql`). When one
//! is not, nothing is written by that, and the rows are written by the statement that leaves out
//! what it meets (`append.sql`); what stands there is then read in statements of their own, after
//! the commit.

use super::change_log_record::{KeyColumns, read_records};
use super::entity::balance_change_log;
use super::error::StoreName;
use super::pool::Database;
use super::stored::timestamp;
use async_trait::async_trait;
use axs_application::port::change_log::{
    AppendError, AppendOutcome, ChangeLog, ChangeLogKey, ChangeLogRecord, NewChangeLog, Placing,
    PublishedPosition,
};
use axs_application::port::store_error::StoreError;
use axs_domain::id::{LayoutEpoch, LogId};
use axs_domain::incarnation::Incarnation;
use axs_domain::text::IdempotencyKey;
use axs_domain::time::Timestamp;
use chrono::{DateTime, Utc};
use metrics::counter;
use sea_orm::EntityTrait;
use shaku::Component;
use sqlx::postgres::PgDatabaseError;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use uuid::Uuid;

/// The SQLSTATE of `admit_log` while a change of the layout pauses writing.
const LAYOUT_PAUSED: &str = "AX001";
/// Its SQLSTATE when the layout has another epoch, which stands in the detail.
const LAYOUT_MOVED: &str = "AX002";

/// Its SQLSTATE when the database has another history, whose incarnation stands in the detail.
const HISTORY_MOVED: &str = "AX003";

/// How many appends after one that met a known key, or found no connection of the log's own, begin
/// with the statement that expects known keys. They come in series, from clients that send again
/// what they had no answer for, and each costs the other statement all its work.
pub const KEYS_EXPECTED_FOR: u32 = 16;

/// [`ChangeLog`] in the tables `balance_change_logs` and `balance_change_states`.
#[derive(Component)]
#[shaku(interface = ChangeLog)]
pub struct PgChangeLog {
    #[shaku(inject)]
    database: Arc<dyn Database>,
    /// Appends that still expect known keys. Two at once may count one: it decides only what is
    /// tried first.
    #[shaku(force_default)]
    known_keys_expected: AtomicU32,
    #[shaku(force_default)]
    last_logged: LastLogged,
}

impl PgChangeLog {
    /// The change log of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self {
            database,
            known_keys_expected: AtomicU32::new(0),
            last_logged: LastLogged::default(),
        }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }

    /// Writes the rows whose keys are new. Gives the time of each, by its log id.
    async fn insert(
        &self,
        rows: &[NewChangeLog],
        placed_by: Placing,
    ) -> Result<HashMap<Uuid, Timestamp>, AppendError> {
        let columns = RowColumns::of(rows);
        let earliest = self.last_logged.earliest_next();
        let mut expected = self.known_keys_expected.load(Ordering::Relaxed);
        if expected == 0 {
            let logged = self.append_all_or_none(&columns, placed_by, earliest).await;
            match logged.map_err(|error| append_error(self.name(), &error))? {
                Some(logged_at) => {
                    self.last_logged.note(earliest, logged_at);
                    let logged_at = timestamp(logged_at);
                    return Ok(columns.ids.iter().map(|id| (*id, logged_at)).collect());
                }
                None => {
                    expected = KEYS_EXPECTED_FOR;
                    self.known_keys_expected.store(expected, Ordering::Relaxed);
                }
            }
        }
        let logged = self.append_unknown(&columns, placed_by, earliest).await;
        let logged = logged.map_err(|error| append_error(self.name(), &error))?;
        if let Some((_, logged_at)) = logged.first() {
            self.last_logged.note(earliest, *logged_at);
        }
        let expected = if logged.len() < rows.len() {
            KEYS_EXPECTED_FOR
        } else {
            expected.saturating_sub(1)
        };
        self.known_keys_expected.store(expected, Ordering::Relaxed);
        Ok(logged
            .into_iter()
            .map(|(log_id, logged_at)| (log_id, timestamp(logged_at)))
            .collect())
    }

    /// All rows or, when a key is known or the log's own pool gets no connection, none.
    async fn append_all_or_none(
        &self,
        columns: &RowColumns<'_>,
        placed_by: Placing,
        earliest: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
        let pool = self.database.log();
        let mut connection = match pool.acquire().await {
            Ok(connection) => connection,
            // The server may let no more in while the other pool has connections. Where all of this
            // one are busy, whatever holds them up would hold up the others too.
            Err(error) if pool.size() < pool.options().get_max_connections() => {
                tracing::warn!(%error, "no connection of the log's own: rows are logged on those that read");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let logged = sqlx::query_scalar(include_str!("sql/change_log/append_all_or_none.sql"))
            .bind(&columns.ids)
            .bind(&columns.keys.shards)
            .bind(&columns.keys.accounts)
            .bind(&columns.keys.keys)
            .bind(&columns.fingerprints)
            .bind(&columns.payloads)
            .bind(placed_by.layout_epoch.value())
            .bind(placed_by.incarnation.value())
            .bind(earliest)
            .fetch_one(&mut *connection)
            .await;
        match logged {
            Err(error) if is_unique_violation(&error) => Ok(None),
            logged => logged.map(Some),
        }
    }

    /// The rows whose keys are new.
    async fn append_unknown(
        &self,
        columns: &RowColumns<'_>,
        placed_by: Placing,
        earliest: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, DateTime<Utc>)>, sqlx::Error> {
        sqlx::query_as(include_str!("sql/change_log/append.sql"))
            .bind(&columns.ids)
            .bind(&columns.keys.shards)
            .bind(&columns.keys.accounts)
            .bind(&columns.keys.keys)
            .bind(&columns.fingerprints)
            .bind(&columns.payloads)
            .bind(placed_by.layout_epoch.value())
            .bind(placed_by.incarnation.value())
            .bind(earliest)
            .fetch_all(self.database.queries())
            .await
    }

    /// How far each partition is decided.
    async fn stored_offsets(&self) -> Result<HashMap<i32, i64>, StoreError> {
        let read = async {
            sqlx::query_as(include_str!("sql/change_log/stored_offsets.sql"))
                .fetch_all(self.database.queries())
                .await
                .map_err(|error| self.name().sqlx(&error))
        };
        let patience = self.database.patience();
        let rows: Vec<(i32, i64)> = self.name().answered(patience, read).await?;
        Ok(rows.into_iter().collect())
    }

    /// What stands under keys that were there already. A row that this build can't read must not
    /// take the others with it: then each is read by itself.
    async fn read_met(&self, keys: &[ChangeLogKey]) -> Vec<AppendOutcome> {
        let (pool, name) = (self.database.queries(), self.name());
        match name
            .answered(self.database.patience(), read_records(pool, name, keys))
            .await
        {
            Ok(records) => records.into_iter().map(as_known).collect(),
            Err(StoreError::Corrupt { .. }) => {
                let mut outcomes = Vec::with_capacity(keys.len());
                for key in keys {
                    let one = read_records(pool, name, std::slice::from_ref(key));
                    match name.answered(self.database.patience(), one).await {
                        Ok(mut records) => outcomes.push(as_known(records.pop().flatten())),
                        Err(failure @ StoreError::Corrupt { .. }) => {
                            tracing::error!(%failure, account_id = %key.account_id, "a change log row can't be read");
                            outcomes.push(unreadable(&failure.to_string()));
                        }
                        // Away: asking for the others would only keep everybody waiting.
                        Err(failure) => {
                            outcomes.resize(keys.len(), unreadable(&failure.to_string()));
                            break;
                        }
                    }
                }
                outcomes
            }
            Err(failure) => vec![unreadable(&failure.to_string()); keys.len()],
        }
    }
}

/// How far the log goes ahead of the server's clock at most: the 5 minutes of `append.sql`.
const AHEAD_MAX_MICROS: i64 = 300_000_000;

/// The newest time that this process was told its rows were logged at, in Unix microseconds; 0
/// before the first.
///
/// The relay publishes in the order of `logged_at`. The server's clock may step back, as after a
/// failover to a host whose clock is slow; what is logged after an answer must bear a later time
/// all the same.
#[derive(Default)]
struct LastLogged(AtomicI64);

impl LastLogged {
    /// The earliest time that the next rows may bear.
    fn earliest_next(&self) -> DateTime<Utc> {
        let last = self.0.load(Ordering::SeqCst);
        DateTime::from_timestamp_micros(last.saturating_add(1)).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Notes when rows were logged that were to bear no earlier time than `earliest`.
    fn note(&self, earliest: DateTime<Utc>, logged_at: DateTime<Utc>) {
        if logged_at <= earliest {
            counter!("axs_log_clock_behind_total").increment(1);
        }
        let micros = logged_at.timestamp_micros();
        if logged_at < earliest {
            // The clock is so far behind that order with what was logged before is given up: it
            // begins anew here, unless another commit has begun it anew already.
            let asked = earliest.timestamp_micros().saturating_sub(1);
            let anew = self
                .0
                .compare_exchange(asked, micros, Ordering::SeqCst, Ordering::SeqCst);
            if anew.is_ok() {
                return;
            }
        }
        self.0.fetch_max(micros, Ordering::SeqCst);
    }

    /// Notes when a row was logged that was known already: it may be told only now. Not one from
    /// far ahead of what this process has logged itself, which a clock that was wrong has left.
    fn note_known(&self, logged_at: Timestamp) {
        let last = self.0.load(Ordering::SeqCst);
        let known = logged_at.unix_micros();
        if last == 0 || known <= last.saturating_add(AHEAD_MAX_MICROS) {
            self.0.fetch_max(known, Ordering::SeqCst);
        }
    }
}

/// Rows as the arrays that statements take.
struct RowColumns<'r> {
    ids: Vec<Uuid>,
    keys: KeyColumns<'r>,
    fingerprints: Vec<&'r [u8]>,
    payloads: Vec<&'r [u8]>,
}

impl<'r> RowColumns<'r> {
    fn of(rows: &'r [NewChangeLog]) -> Self {
        Self {
            ids: rows.iter().map(|row| row.log_id.uuid()).collect(),
            keys: KeyColumns::of(rows.iter().map(|row| &row.key)),
            fingerprints: rows
                .iter()
                .map(|row| row.fingerprint.as_bytes().as_slice())
                .collect(),
            payloads: rows.iter().map(|row| row.payload.as_ref()).collect(),
        }
    }
}

fn is_unique_violation(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// What `admit_log` refuses with, told from errors of the store.
fn append_error(name: StoreName<'_>, error: &sqlx::Error) -> AppendError {
    let sqlx::Error::Database(refusal) = error else {
        return name.sqlx(error).into();
    };
    // What stands, where the refusal tells it.
    let standing = || -> Option<i64> {
        let refusal = refusal.try_downcast_ref::<PgDatabaseError>()?;
        refusal.detail()?.parse().ok()
    };
    let moved = match refusal.code().as_deref() {
        Some(LAYOUT_PAUSED) => return AppendError::LayoutPaused,
        Some(LAYOUT_MOVED) => standing()
            .and_then(|epoch| LayoutEpoch::try_new(i32::try_from(epoch).ok()?).ok())
            .map(|current| AppendError::LayoutMoved { current }),
        Some(HISTORY_MOVED) => standing().map(|incarnation| AppendError::HistoryMoved {
            current: Incarnation::new(incarnation),
        }),
        _ => return name.sqlx(error).into(),
    };
    moved.unwrap_or_else(|| {
        name.corrupt(format_args!("what admit_log told can't be read: {refusal}"))
            .into()
    })
}

fn as_known(record: Option<ChangeLogRecord>) -> AppendOutcome {
    match record {
        Some(record) => AppendOutcome::Known(Box::new(record)),
        // Met and gone: its key's window ended in between. Sending again logs it.
        None => unreadable("a row with the same key went away while it was read"),
    }
}

fn unreadable(reason: &str) -> AppendOutcome {
    AppendOutcome::Unreadable(reason.to_owned())
}

#[async_trait]
impl ChangeLog for PgChangeLog {
    async fn append(
        &self,
        rows: Vec<NewChangeLog>,
        placed_by: Placing,
    ) -> Result<Vec<AppendOutcome>, AppendError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let patience = self.database.patience();
        let logged = tokio::time::timeout(patience, self.insert(&rows, placed_by))
            .await
            .unwrap_or_else(|_| Err(self.name().no_answer(patience).into()))?;
        let met: Vec<ChangeLogKey> = rows
            .iter()
            .filter(|row| !logged.contains_key(&row.log_id.uuid()))
            .map(|row| row.key.clone())
            .collect();
        // From here on what was inserted is committed: nothing below may fail the whole call.
        let met = self.read_met(&met).await;
        for outcome in &met {
            if let AppendOutcome::Known(record) = outcome {
                self.last_logged.note_known(record.logged_at);
            }
        }
        let mut known = met.into_iter();
        let outcome = |row: &NewChangeLog| match logged.get(&row.log_id.uuid()) {
            Some(logged_at) => AppendOutcome::Logged {
                logged_at: *logged_at,
            },
            None => known
                .next()
                .unwrap_or_else(|| unreadable("it was not read")),
        };
        Ok(rows.iter().map(outcome).collect())
    }

    async fn find_by_log_id(&self, log_id: LogId) -> Result<Option<ChangeLogRecord>, StoreError> {
        let found = balance_change_log::Entity::find_by_id(log_id.uuid())
            .one(self.database.orm())
            .await
            .map_err(|error| self.name().orm(&error))?;
        let Some(row) = found else {
            return Ok(None);
        };
        let name = self.name();
        let key = ChangeLogKey {
            shard_id: name.shard_id(row.shard_id)?,
            account_id: name.account_id(row.account_id)?,
            idempotency_key: IdempotencyKey::parse(&row.idempotency_key)
                .map_err(|error| name.invalid("idempotency_key", &row.idempotency_key, error))?,
        };
        // The key may have begun a new window since, under another log id.
        Ok(self
            .find_by_key(key)
            .await?
            .filter(|record| record.log_id == log_id))
    }

    async fn find_by_key(&self, key: ChangeLogKey) -> Result<Option<ChangeLogRecord>, StoreError> {
        let mut found = read_records(self.database.queries(), self.name(), &[key]).await?;
        Ok(found.pop().flatten())
    }

    async fn note_positions(&self, positions: Vec<PublishedPosition>) -> Result<u64, StoreError> {
        let passed = self.stored_offsets().await?;
        let ahead = positions.iter().filter(|position| {
            let stored = passed.get(&position.partition.value());
            stored.is_none_or(|stored| position.offset.value() >= *stored)
        });
        // In the order of the key, as every statement locks; of a row published twice the later
        // position counts.
        let positions: BTreeMap<&ChangeLogKey, &PublishedPosition> =
            ahead.map(|position| (&position.key, position)).collect();
        let columns = KeyColumns::of(positions.keys().copied());
        if columns.shards.is_empty() {
            return Ok(0);
        }
        let partitions: Vec<i32> = positions.values().map(|p| p.partition.value()).collect();
        let offsets: Vec<i64> = positions.values().map(|p| p.offset.value()).collect();
        let note = async {
            let mut transaction = self
                .database
                .queries()
                .begin_with(include_str!("sql/change_log/begin_note_positions.sql"))
                .await?;
            let noted = sqlx::query(include_str!("sql/change_log/note_positions.sql"))
                .bind(columns.shards)
                .bind(columns.accounts)
                .bind(columns.keys)
                .bind(partitions)
                .bind(offsets)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(noted.rows_affected())
        };
        // No limit of ours here: giving up between BEGIN and its answer would hand the connection
        // back with a transaction open, and what is committed on it next would not be.
        note.await
            .map_err(|error: sqlx::Error| self.name().sqlx(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn at(micros: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(micros).unwrap()
    }

    fn next(last: &LastLogged) -> i64 {
        last.earliest_next().timestamp_micros()
    }

    #[test]
    fn of_two_commits_at_once_that_begin_anew_behind_a_wrong_clock_the_later_time_stands() {
        for order in [[7, 9], [9, 7]] {
            let last = LastLogged::default();
            last.note(last.earliest_next(), at(100 * MINUTE));
            let earliest = last.earliest_next();
            for logged_at in order {
                last.note(earliest, at(logged_at));
            }
            assert_eq!(next(&last), 10, "{order:?}");
        }
    }

    #[test]
    fn a_known_row_counts_for_the_order_unless_a_wrong_clock_has_left_it() {
        let last = LastLogged::default();
        last.note(last.earliest_next(), at(10 * MINUTE));
        last.note_known(Timestamp::from_unix_micros(12 * MINUTE));
        assert_eq!(next(&last), 12 * MINUTE + 1);
        last.note_known(Timestamp::from_unix_micros(11 * MINUTE));
        last.note_known(Timestamp::from_unix_micros(500_000 * MINUTE));
        assert_eq!(next(&last), 12 * MINUTE + 1);
    }
}
