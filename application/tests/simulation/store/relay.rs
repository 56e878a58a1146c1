//! What the relay scans, and how far it has come.

use super::{StoreClient, away};
use async_trait::async_trait;
use axs_application::port::change_log::ChangeLogRecord;
use axs_application::port::relay_source::{
    LogPlace, MarkMove, RelayHorizon, RelayPage, RelayScan, RelayScope, RelaySource,
};
use axs_application::port::store_error::StoreError;
use axs_application::testkit::INCARNATION;
use axs_domain::incarnation::Incarnation;
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;

/// The log of so much time is one part of a scan.
const PART_MICROS: i64 = 5_000_000;

/// The simulated store has one history.
fn of_this_history(incarnation: Incarnation) -> Result<(), StoreError> {
    if incarnation == INCARNATION {
        return Ok(());
    }
    Err(away("it answers in another history"))
}

#[async_trait]
impl RelaySource for StoreClient {
    async fn horizon(&self, scope: RelayScope) -> Result<RelayHorizon, StoreError> {
        of_this_history(scope.incarnation)?;
        self.statement("horizon", move |state, now| {
            let grace = i64::try_from(scope.grace.as_micros()).unwrap();
            let until = Timestamp::from_unix_micros(now.unix_micros() - grace);
            // A transaction that is open may still show rows of its beginning.
            let before = |began: &Timestamp| Timestamp::from_unix_micros(began.unix_micros() - 1);
            let settled_to = state.open.values().map(before).fold(until, Timestamp::min);
            let leader = &state.leaders[&scope.partition];
            let mark = leader
                .relay_mark
                .filter(|(epoch, _)| *epoch == scope.layout_epoch);
            RelayHorizon {
                low_water: mark.map(|(_, low_water)| low_water),
                generation: leader.relay_generation,
                until,
                settled_to: Some(settled_to),
            }
        })
        .await
    }

    /// In parts, as a long log is read.
    async fn still_init(&self, scan: RelayScan) -> Result<RelayPage, StoreError> {
        of_this_history(scan.incarnation)?;
        self.statement("still_init", move |state, _| {
            let began = scan.after.max(scan.behind.map(|place| place.logged_at));
            let part = began.map_or(scan.until, |began| {
                Timestamp::from_unix_micros(began.unix_micros() + PART_MICROS)
            });
            let read_to = part.min(scan.until);
            let mut rows: Vec<ChangeLogRecord> = state
                .rows
                .values()
                .filter(|row| row.status == LogStatus::Init && row.logged_at <= read_to)
                .filter(|row| scan.shards.contains(&row.key.shard_id))
                .filter(|row| scan.after.is_none_or(|after| row.logged_at > after))
                .filter(|row| scan.behind.is_none_or(|behind| LogPlace::of(row) > behind))
                .cloned()
                .collect();
            rows.sort_by_key(|row| (row.logged_at, row.log_id));
            rows.truncate(usize::try_from(scan.limit).unwrap());
            RelayPage { rows, read_to }
        })
        .await
    }

    async fn keep_init(
        &self,
        rows: Vec<ChangeLogRecord>,
    ) -> Result<Vec<ChangeLogRecord>, StoreError> {
        self.statement("keep_init", move |state, _| {
            let still = |row: &ChangeLogRecord| {
                let found = state.rows.get(&row.key);
                found.is_some_and(|f| f.status == LogStatus::Init && f.log_id == row.log_id)
            };
            rows.into_iter().filter(still).collect()
        })
        .await
    }

    async fn move_mark(&self, to: MarkMove) -> Result<bool, StoreError> {
        // The leader row's lock, as any update of it takes it.
        let held = self.server.lock_leader_row(to.partition).await;
        let Ok(_held) = held else {
            return Err(away("lock timeout"));
        };
        let world = self.server.world.clone();
        self.statement("move_mark", move |state, _| {
            let Some(leader) = state.leaders.get_mut(&to.partition) else {
                return false;
            };
            let stands = leader.fence.admit(to.claim).is_ok();
            if stands && leader.relay_generation == to.generation {
                leader.relay_mark = to.low_water.map(|low_water| (to.layout_epoch, low_water));
                world.tally.count("relay marks moved");
                return true;
            }
            false
        })
        .await
    }
}
