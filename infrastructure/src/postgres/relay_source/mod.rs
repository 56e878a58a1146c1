//! Rows that may never have reached the topic.

mod window;

use super::change_log_record::{KeyColumns, StateRow, read_payloads};
use super::error::StoreName;
use super::pool::Database;
use super::stored::{shard_bounds, timestamp};
use async_trait::async_trait;
use axs_application::port::change_log::ChangeLogRecord;
use axs_application::port::relay_source::{
    MarkMove, RelayHorizon, RelayPage, RelayScan, RelayScope, RelaySource,
};
use axs_application::port::store_error::StoreError;
use axs_domain::id::ShardId;
use axs_domain::incarnation::Incarnation;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use metrics::counter;
use shaku::Component;
use sqlx::{FromRow, PgPool};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;
use window::Window;

/// A page of more of the log than this may take longer than other statements: a term's first, and
/// any while the mark stays below a row that waits.
const SHORT_SCAN_MAX: TimeDelta = TimeDelta::minutes(1);

/// The log of so much time is read by one page: 100 million states at 30,000 a second.
const PART: TimeDelta = TimeDelta::hours(1);

/// The same where what is found fills pages.
const DENSE_PART: TimeDelta = TimeDelta::seconds(5);

/// A page of no more of the log than this takes no turn.
const TURNLESS_MAX: TimeDelta = TimeDelta::minutes(10);

/// Longer pages at once, in this process. Where a relay has no mark, or one that lies far below,
/// every partition reads them, and each takes a connection of those on which leaders take over and
/// load what they decide on.
const LONG_PAGES_MAX: usize = 1;

/// How long a page may take in all. PostgreSQL ends the statement of a long one a minute sooner
/// (allow_long_scan.sql); a server that hangs must not keep the turn of the others for ever.
const PAGE_MAX: Duration = Duration::from_mins(11);

/// [`RelaySource`] over the change log.
///
/// A scan without a mark reads every state of its shards, in parts.
#[derive(Component)]
#[shaku(interface = RelaySource)]
pub struct PgRelaySource {
    #[shaku(inject)]
    database: Arc<dyn Database>,
    #[shaku(force_default)]
    long_pages: LongPages,
}

/// The turns of long pages.
struct LongPages(Arc<Semaphore>);

impl Default for LongPages {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LONG_PAGES_MAX)))
    }
}

impl PgRelaySource {
    /// The rows of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self {
            database,
            long_pages: LongPages::default(),
        }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }

    fn horizon_of(&self, row: &HorizonRow, grace: Duration) -> Result<RelayHorizon, StoreError> {
        let earlier = |moment: DateTime<Utc>, by: TimeDelta| {
            moment.checked_sub_signed(by).ok_or_else(|| {
                self.name()
                    .corrupt("the grace of the relay is longer than time itself")
            })
        };
        let grace = TimeDelta::from_std(grace).map_err(|error| self.name().corrupt(error))?;
        let until = earlier(row.now, grace)?;
        let before = |since: DateTime<Utc>| earlier(since, TimeDelta::microseconds(1));
        let open = row.open_since.map(before).transpose()?;
        let prepared = row
            .prepared_since
            .map(|at| earlier(at, grace))
            .transpose()?;
        let settled = [open, prepared]
            .into_iter()
            .flatten()
            .fold(until, DateTime::min);
        if row.unseen > 0 {
            counter!("axs_relay_hidden_transactions_total").increment(1);
            tracing::debug!(
                unseen = row.unseen,
                "open transactions of other roles are hidden, so the relay's mark stays: grant \
                 pg_read_all_stats to the role of the consumers"
            );
        }
        Ok(RelayHorizon {
            low_water: row.low_water.map(timestamp),
            generation: row.generation,
            until: timestamp(until),
            settled_to: (row.unseen == 0).then(|| timestamp(settled)),
        })
    }
}

#[derive(FromRow)]
struct HorizonRow {
    low_water: Option<DateTime<Utc>>,
    generation: i64,
    incarnation: i64,
    now: DateTime<Utc>,
    open_since: Option<DateTime<Utc>>,
    unseen: i64,
    prepared_since: Option<DateTime<Utc>>,
}

/// What a page is bound by.
struct PageBounds {
    shards: Vec<i32>,
    window: Window,
    behind: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
    incarnation: Incarnation,
    /// Whether it is read by a long scan: without a mark, or from one that lies far below.
    is_long: bool,
}

/// The rows of one page, and in which history of the database they stand.
struct PageRead {
    incarnation: i64,
    states: Vec<StateRow>,
    payloads: HashMap<Uuid, Bytes>,
}

/// All of it by one connection: what another one says may be of another history.
async fn read_page(pool: &PgPool, page: PageBounds) -> Result<PageRead, sqlx::Error> {
    let mut transaction = pool
        .begin_with(include_str!("../sql/relay/begin_rows.sql"))
        .await?;
    if page.is_long {
        sqlx::raw_sql(include_str!("../sql/relay/allow_long_scan.sql"))
            .execute(&mut *transaction)
            .await?;
    }
    let incarnation = sqlx::query_scalar(include_str!("../sql/balance/incarnation.sql"))
        .fetch_one(&mut *transaction)
        .await?;
    let states: Vec<StateRow> = sqlx::query_as(include_str!("../sql/relay/still_init.sql"))
        .bind(page.shards)
        .bind(page.window.after)
        .bind(page.window.until)
        .bind(page.limit)
        .bind(page.behind.map(|(logged_at, _)| logged_at))
        .bind(page.behind.map(|(_, log_id)| log_id))
        .fetch_all(&mut *transaction)
        .await?;
    let ids: Vec<Uuid> = states.iter().map(|state| state.log_id).collect();
    let payloads = read_payloads(&mut *transaction, &ids).await?;
    transaction.commit().await?;
    Ok(PageRead {
        incarnation,
        states,
        payloads,
    })
}

impl PgRelaySource {
    async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        let turn = Arc::clone(&self.long_pages.0).acquire_owned().await;
        turn.map_err(|closed| self.name().unavailable(closed))
    }

    /// When the log began, or else `otherwise`. Only how the log is divided depends on it.
    async fn log_began(&self, otherwise: DateTime<Utc>) -> Result<DateTime<Utc>, StoreError> {
        let began: Option<DateTime<Utc>> =
            sqlx::query_scalar(include_str!("../sql/relay/log_began.sql"))
                .fetch_one(self.database.queries())
                .await
                .map_err(|error| self.name().sqlx(&error))?;
        Ok(began.unwrap_or(otherwise))
    }

    /// Reads one page in a task of its own: a relay that is dropped must not leave a transaction
    /// open. The task keeps the turn.
    async fn read(
        &self,
        page: PageBounds,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Result<PageRead, StoreError> {
        let name = self.name();
        let (pool, expected) = (self.database.queries().clone(), page.incarnation);
        let read = tokio::spawn(async move {
            let read = timeout(PAGE_MAX, read_page(&pool, page)).await;
            drop(turn);
            read
        })
        .await
        .map_err(|ended| name.unavailable(ended))?
        .map_err(|elapsed| name.unavailable(elapsed))?
        .map_err(|error| name.sqlx(&error))?;
        self.check_history(read.incarnation, expected)?;
        Ok(read)
    }

    fn check_history(&self, found: i64, expected: Incarnation) -> Result<(), StoreError> {
        if Incarnation::new(found) == expected {
            return Ok(());
        }
        Err(self.name().unavailable(
            "it answers in another history of the database than that of the leader's claim",
        ))
    }
}

#[async_trait]
impl RelaySource for PgRelaySource {
    async fn horizon(&self, scope: RelayScope) -> Result<RelayHorizon, StoreError> {
        let row: Option<HorizonRow> = sqlx::query_as(include_str!("../sql/relay/begin_scan.sql"))
            .bind(scope.partition.value())
            .bind(scope.layout_epoch.value())
            .fetch_optional(self.database.queries())
            .await
            .map_err(|error| self.name().sqlx(&error))?;
        let row = row.ok_or_else(|| {
            self.name()
                .invalid("partition", scope.partition, "has no leader row")
        })?;
        self.check_history(row.incarnation, scope.incarnation)?;
        self.horizon_of(&row, scope.grace)
    }

    async fn still_init(&self, scan: RelayScan) -> Result<RelayPage, StoreError> {
        let name = self.name();
        let behind = scan
            .behind
            .map(|place| Ok((name.time(place.logged_at)?, place.log_id.uuid())))
            .transpose()?;
        let mark = scan.after.map(|after| name.time(after)).transpose()?;
        // Rows of the same moment may lie behind the place.
        let place = behind.and_then(|(at, _)| at.checked_sub_signed(TimeDelta::microseconds(1)));
        let whole = Window {
            after: mark.max(place),
            until: name.time(scan.until)?,
        };
        let part = if scan.is_dense { DENSE_PART } else { PART };
        let window = match whole.after {
            Some(after) => whole.first_part(after.checked_add_signed(part)),
            None => whole.first_part(Some(self.log_began(whole.until).await?)),
        };
        let turn = if window.is_longer_than(TURNLESS_MAX) {
            Some(self.turn().await?)
        } else {
            None
        };
        let page = PageBounds {
            shards: scan.shards.iter().copied().map(ShardId::value).collect(),
            window,
            behind,
            limit: i64::from(scan.limit),
            incarnation: scan.incarnation,
            is_long: window.is_longer_than(SHORT_SCAN_MAX),
        };
        let PageRead {
            states,
            mut payloads,
            ..
        } = self.read(page, turn).await?;
        let rows = states.into_iter().map(|state| {
            // Gone only if retention dropped a day too early.
            let payload = payloads.remove(&state.log_id).unwrap_or_default();
            state.record(name, payload, Vec::new())
        });
        Ok(RelayPage {
            rows: rows.collect::<Result<_, _>>()?,
            read_to: timestamp(window.until),
        })
    }

    async fn keep_init(
        &self,
        rows: Vec<ChangeLogRecord>,
    ) -> Result<Vec<ChangeLogRecord>, StoreError> {
        let name = self.name();
        let columns = KeyColumns::of(rows.iter().map(|row| &row.key));
        let Some((lowest, highest)) = shard_bounds(&columns.shards) else {
            return Ok(Vec::new());
        };
        let ids: Vec<Uuid> = rows.iter().map(|row| row.log_id.uuid()).collect();
        let positions: Vec<i64> = sqlx::query_scalar(include_str!("../sql/relay/keep_init.sql"))
            .bind(columns.shards)
            .bind(columns.accounts)
            .bind(columns.keys)
            .bind(ids)
            .bind(lowest)
            .bind(highest)
            .fetch_all(self.database.queries())
            .await
            .map_err(|error| name.sqlx(&error))?;
        let mut kept = vec![false; rows.len()];
        for position in positions {
            let place = name.place(position, rows.len())?;
            if let Some(keep) = kept.get_mut(place) {
                *keep = true;
            }
        }
        Ok(rows
            .into_iter()
            .zip(kept)
            .filter_map(|(row, keep)| keep.then_some(row))
            .collect())
    }

    async fn move_mark(&self, to: MarkMove) -> Result<bool, StoreError> {
        let name = self.name();
        let moved = sqlx::query(include_str!("../sql/relay/move_mark.sql"))
            .bind(to.partition.value())
            .bind(to.claim.token.value())
            .bind(to.claim.owner.uuid())
            .bind(to.generation)
            .bind(to.layout_epoch.value())
            .bind(to.low_water.map(|at| name.time(at)).transpose()?)
            .bind(to.claim.incarnation.value())
            .execute(self.database.queries())
            .await
            .map_err(|error| name.sqlx(&error))?;
        Ok(moved.rows_affected() == 1)
    }
}
