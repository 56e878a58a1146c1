//! Rows that may never have reached the topic.

use super::change_log_record::{KeyColumns, StateRow, read_payloads};
use super::error::StoreName;
use super::pool::Database;
use super::stored::{shard_bounds, timestamp};
use async_trait::async_trait;
use axs_application::port::change_log::ChangeLogRecord;
use axs_application::port::relay_source::{RelayPage, RelayScan, RelaySource};
use axs_application::port::store_error::StoreError;
use axs_domain::id::ShardId;
use chrono::{DateTime, TimeDelta, Utc};
use shaku::Component;
use std::sync::Arc;
use uuid::Uuid;

/// [`RelaySource`] over the change log.
///
/// A scan without a cursor reads every state of its shards: begin there once, then go on from
/// `scanned_to` or from the oldest row that is still INIT.
#[derive(Component)]
#[shaku(interface = RelaySource)]
pub struct PgRelaySource {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgRelaySource {
    /// The rows of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }

    /// The server's clock, less the grace. Read before the scan: what is written meanwhile is
    /// younger.
    async fn scan_end(&self, scan: &RelayScan) -> Result<DateTime<Utc>, StoreError> {
        let now: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()")
            .fetch_one(self.database.queries())
            .await
            .map_err(|error| self.name().sqlx(&error))?;
        TimeDelta::from_std(scan.grace)
            .ok()
            .and_then(|grace| now.checked_sub_signed(grace))
            .ok_or_else(|| {
                self.name()
                    .corrupt("the grace of the relay is longer than time itself")
            })
    }
}

#[async_trait]
impl RelaySource for PgRelaySource {
    async fn still_init(&self, scan: RelayScan) -> Result<RelayPage, StoreError> {
        let name = self.name();
        let end = self.scan_end(&scan).await?;
        let shards: Vec<i32> = scan.shards.iter().copied().map(ShardId::value).collect();
        let (after, after_id) = match scan.after {
            Some(cursor) => (
                Some(name.time(cursor.logged_at)?),
                Some(cursor.log_id.uuid()),
            ),
            None => (None, None),
        };
        let states: Vec<StateRow> = sqlx::query_as(include_str!("sql/relay/still_init.sql"))
            .bind(shards)
            .bind(after)
            .bind(after_id)
            .bind(end)
            .bind(i64::from(scan.limit))
            .fetch_all(self.database.queries())
            .await
            .map_err(|error| name.sqlx(&error))?;
        let ids: Vec<Uuid> = states.iter().map(|state| state.log_id).collect();
        let mut payloads = read_payloads(self.database.queries(), name, &ids).await?;
        let rows = states
            .into_iter()
            .map(|state| {
                let payload = payloads.remove(&state.log_id).ok_or_else(|| {
                    name.invalid(
                        "the row",
                        state.log_id,
                        "is INIT, but its payload is gone: retention dropped a day too early",
                    )
                })?;
                state.record(name, payload, Vec::new())
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(RelayPage {
            rows,
            scanned_to: timestamp(end),
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
        let positions: Vec<i64> = sqlx::query_scalar(include_str!("sql/relay/keep_init.sql"))
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
}
