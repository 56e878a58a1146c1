//! What is read of the store in memory: balances, and rows for the relay.

use super::*;
use crate::port::balance_store::{BalanceStore, BalancesPage, LoadedBalances};
use crate::port::relay_source::{
    LogPlace, MarkMove, RelayHorizon, RelayPage, RelayScan, RelayScope, RelaySource,
};

#[async_trait]
impl BalanceStore for FakeStore {
    async fn load(&self, keys: Vec<(ShardId, BalanceKey)>) -> Result<LoadedBalances, StoreError> {
        let mut state = self.state.lock().unwrap();
        state.loads.push(keys.len());
        let find = |key: &ShardedKey| {
            state
                .balances
                .get(key)
                .copied()
                .unwrap_or(VersionedBalance::ABSENT)
        };
        Ok(LoadedBalances {
            incarnation: INCARNATION,
            balances: keys.iter().map(find).collect(),
        })
    }

    async fn page_behind(
        &self,
        shard_id: ShardId,
        behind: Option<BalanceKey>,
        balances_max: u32,
    ) -> Result<BalancesPage, StoreError> {
        let page = {
            let state = self.state.lock().unwrap();
            let of_shard = state.balances.iter().filter(|(key, _)| key.0 == shard_id);
            let mut page: Vec<_> = of_shard
                .map(|((_, key), balance)| (*key, *balance))
                .filter(|(key, _)| behind.is_none_or(|behind| *key > behind))
                .collect();
            page.sort_by_key(|(key, _)| *key);
            page.truncate(usize::try_from(balances_max).unwrap());
            page
        };
        // By the time it is there, it is old.
        tokio::time::sleep(Duration::from_millis(3)).await;
        Ok(BalancesPage {
            incarnation: INCARNATION,
            balances: page,
        })
    }

    async fn load_accounts(
        &self,
        _accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<BalancesSnapshot, StoreError> {
        Ok(BalancesSnapshot {
            incarnation: INCARNATION,
            accounts: Vec::new(),
        })
    }

    async fn incarnation(&self) -> Result<Incarnation, StoreError> {
        Ok(INCARNATION)
    }
}

#[async_trait]
impl RelaySource for FakeStore {
    async fn horizon(&self, _scope: RelayScope) -> Result<RelayHorizon, StoreError> {
        let state = self.state.lock().unwrap();
        Ok(RelayHorizon {
            low_water: state.relay_mark,
            generation: state.relay_generation,
            until: Timestamp::from_unix_micros(state.relay_until),
            settled_to: state.relay_settled_to,
        })
    }

    async fn still_init(&self, scan: RelayScan) -> Result<RelayPage, StoreError> {
        let mut state = self.state.lock().unwrap();
        state.relay_scans.push(scan.after);
        let began = scan.after.max(scan.behind.map(|place| place.logged_at));
        let began = began.map_or(0, Timestamp::unix_micros);
        let part = state.relay_part.map_or(scan.until, |part| {
            Timestamp::from_unix_micros(began.saturating_add(part))
        });
        let read_to = part.min(scan.until);
        let mut rows: Vec<ChangeLogRecord> = state
            .rows
            .iter()
            .filter(|(key, row)| {
                row.status == LogStatus::Init && scan.shards.contains(&key.shard_id)
            })
            .map(|(key, row)| record(key, row))
            .filter(|row| scan.after.is_none_or(|after| row.logged_at > after))
            .filter(|row| scan.behind.is_none_or(|behind| LogPlace::of(row) > behind))
            .filter(|row| row.logged_at <= read_to)
            .collect();
        rows.sort_by_key(|row| (row.logged_at, row.log_id));
        rows.truncate(scan.limit as usize);
        Ok(RelayPage { rows, read_to })
    }

    async fn keep_init(
        &self,
        rows: Vec<ChangeLogRecord>,
    ) -> Result<Vec<ChangeLogRecord>, StoreError> {
        let state = self.state.lock().unwrap();
        let still = |row: &ChangeLogRecord| {
            state
                .rows
                .get(&row.key)
                .is_some_and(|found| found.status == LogStatus::Init)
        };
        Ok(rows.into_iter().filter(still).collect())
    }

    async fn move_mark(&self, to: MarkMove) -> Result<bool, StoreError> {
        let mut state = self.state.lock().unwrap();
        let stands = state.fence.admit(to.claim).is_ok();
        let moves = stands && state.relay_generation == to.generation;
        if moves {
            state.relay_mark = to.low_water;
        }
        Ok(moves)
    }
}

fn record(key: &ChangeLogKey, row: &Row) -> ChangeLogRecord {
    ChangeLogRecord {
        log_id: row.log_id,
        key: key.clone(),
        fingerprint: row.fingerprint,
        payload: row.payload.clone(),
        status: row.status,
        reason: None,
        logged_at: row.logged_at,
        decided_at: None,
        position: None,
        entries: Vec::new(),
    }
}
