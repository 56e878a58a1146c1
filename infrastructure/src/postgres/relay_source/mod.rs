//! Rows that may never have reached the topic.

mod windows;

use super::change_log_record::{KeyColumns, StateRow, read_payloads};
use super::error::StoreName;
use super::pool::Database;
use super::stored::{shard_bounds, timestamp};
use async_trait::async_trait;
use axs_application::port::change_log::ChangeLogRecord;
use axs_application::port::relay_source::{
    MarkMove, RelayHorizon, RelayScan, RelayScope, RelaySource,
};
use axs_application::port::store_error::StoreError;
use axs_domain::id::ShardId;
use chrono::{DateTime, TimeDelta, Utc};
use metrics::counter;
use shaku::Component;
use sqlx::{FromRow, PgPool};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;
use windows::{Window, Windows};

/// A scan of more of the log than this is a long one, which may take longer than other statements:
/// a term's first, and any while the mark stays below a row that waits.
const SHORT_SCAN_MAX: TimeDelta = TimeDelta::minutes(1);

/// Scans without a mark at once in this process. After a change of the layout every partition
/// begins one, which reads all states of its shards, and each takes a connection of those on which
/// leaders take over and load what they decide on.
const WHOLE_SCANS_MAX: usize = 1;

/// How long a window of a scan may take in all. PostgreSQL ends a statement of a long scan a minute
/// sooner (allow_long_scan.sql); a server that hangs must not keep the turn of the others for ever.
const WINDOW_MAX: Duration = Duration::from_mins(11);

/// [`RelaySource`] over the change log.
///
/// A scan without a mark reads every state of its shards.
#[derive(Component)]
#[shaku(interface = RelaySource)]
pub struct PgRelaySource {
    #[shaku(inject)]
    database: Arc<dyn Database>,
    #[shaku(force_default)]
    whole_scans: WholeScans,
}

/// The turns of scans without a mark.
struct WholeScans(Arc<Semaphore>);

impl Default for WholeScans {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WHOLE_SCANS_MAX)))
    }
}

impl PgRelaySource {
    /// The rows of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self {
            database,
            whole_scans: WholeScans::default(),
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
    now: DateTime<Utc>,
    open_since: Option<DateTime<Utc>>,
    unseen: i64,
    prepared_since: Option<DateTime<Utc>>,
}

/// What a page is bound by.
#[derive(Clone)]
struct PageBounds {
    shards: Vec<i32>,
    window: Window,
    behind: Option<(DateTime<Utc>, Uuid)>,
    limit: usize,
    /// Whether it is read by a long scan: without a mark, or from one that lies far below.
    is_long: bool,
}

/// The turn of a scan without a mark: had until the last of its transactions has ended.
type Turn = Option<Arc<OwnedSemaphorePermit>>;

/// The states of one page of a window.
async fn read_states(pool: &PgPool, page: PageBounds) -> Result<Vec<StateRow>, sqlx::Error> {
    let mut transaction = pool
        .begin_with(include_str!("../sql/relay/begin_rows.sql"))
        .await?;
    if page.is_long {
        sqlx::raw_sql(include_str!("../sql/relay/allow_long_scan.sql"))
            .execute(&mut *transaction)
            .await?;
    }
    let states = sqlx::query_as(include_str!("../sql/relay/still_init.sql"))
        .bind(page.shards)
        .bind(page.window.after)
        .bind(page.window.until)
        .bind(i64::try_from(page.limit).unwrap_or(i64::MAX))
        .bind(page.behind.map(|(logged_at, _)| logged_at))
        .bind(page.behind.map(|(_, log_id)| log_id))
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(states)
}

impl PgRelaySource {
    /// The oldest states of the page, window by window.
    async fn scan(&self, mut page: PageBounds) -> Result<Vec<StateRow>, StoreError> {
        let whole = page.window;
        let (turn, began) = if whole.after.is_some() {
            (None, whole.until)
        } else {
            (Some(self.turn().await?), self.log_began(whole.until).await?)
        };
        let limit = page.limit;
        let mut states = Vec::new();
        for window in Windows::new(whole, began) {
            page.window = window;
            page.limit = limit.saturating_sub(states.len());
            states.extend(self.read(page.clone(), turn.clone()).await?);
            if states.len() >= limit {
                break;
            }
        }
        Ok(states)
    }

    async fn turn(&self) -> Result<Arc<OwnedSemaphorePermit>, StoreError> {
        let turn = Arc::clone(&self.whole_scans.0).acquire_owned().await;
        turn.map(Arc::new)
            .map_err(|closed| self.name().unavailable(closed))
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
    async fn read(&self, page: PageBounds, turn: Turn) -> Result<Vec<StateRow>, StoreError> {
        let name = self.name();
        let pool = self.database.queries().clone();
        tokio::spawn(async move {
            let states = timeout(WINDOW_MAX, read_states(&pool, page)).await;
            drop(turn);
            states
        })
        .await
        .map_err(|ended| name.unavailable(ended))?
        .map_err(|elapsed| name.unavailable(elapsed))?
        .map_err(|error| name.sqlx(&error))
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
        self.horizon_of(&row, scope.grace)
    }

    async fn still_init(&self, scan: RelayScan) -> Result<Vec<ChangeLogRecord>, StoreError> {
        let name = self.name();
        let behind = scan
            .behind
            .map(|place| Ok((name.time(place.logged_at)?, place.log_id.uuid())))
            .transpose()?;
        let mark = scan.after.map(|after| name.time(after)).transpose()?;
        let until = name.time(scan.until)?;
        // Rows of the same moment may lie behind the place.
        let place = behind.and_then(|(at, _)| at.checked_sub_signed(TimeDelta::microseconds(1)));
        let after = mark.max(place);
        let states = self
            .scan(PageBounds {
                shards: scan.shards.iter().copied().map(ShardId::value).collect(),
                window: Window { after, until },
                behind,
                limit: usize::try_from(scan.limit).unwrap_or(usize::MAX),
                is_long: after
                    .is_none_or(|after| until.signed_duration_since(after) > SHORT_SCAN_MAX),
            })
            .await?;
        let ids: Vec<Uuid> = states.iter().map(|state| state.log_id).collect();
        let mut payloads = read_payloads(self.database.queries(), name, &ids).await?;
        states
            .into_iter()
            .map(|state| {
                // Gone only if retention dropped a day too early.
                let payload = payloads.remove(&state.log_id).unwrap_or_default();
                state.record(name, payload, Vec::new())
            })
            .collect()
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
