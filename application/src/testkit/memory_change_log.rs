//! A change log in memory, whose commits a test can hold up or let fail.

use super::{INCARNATION, away};
use crate::port::change_log::{
    AppendError, AppendOutcome, ChangeLog, ChangeLogKey, ChangeLogRecord, NewChangeLog, Placing,
    PublishedPosition,
};
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::id::{LayoutEpoch, LogId};
use axs_domain::incarnation::Incarnation;
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Keeps the port's contract in memory: one row for each key, outcomes in order.
#[derive(Debug)]
pub struct MemoryChangeLog {
    rows: Mutex<HashMap<ChangeLogKey, ChangeLogRecord>>,
    commits: Mutex<Vec<Vec<LogId>>>,
    turns: Semaphore,
    /// How many of the next commits wait for a turn.
    held: AtomicUsize,
    away: AtomicBool,
    epoch: Mutex<LayoutEpoch>,
    incarnation: Mutex<Incarnation>,
    paused: AtomicBool,
}

impl Default for MemoryChangeLog {
    fn default() -> Self {
        Self {
            rows: Mutex::default(),
            commits: Mutex::default(),
            turns: Semaphore::new(0),
            held: AtomicUsize::new(0),
            away: AtomicBool::new(false),
            epoch: Mutex::new(LayoutEpoch::MIN),
            incarnation: Mutex::new(INCARNATION),
            paused: AtomicBool::new(false),
        }
    }
}

impl MemoryChangeLog {
    /// From now on every commit waits for [`MemoryChangeLog::let_commit`].
    pub fn hold(&self) {
        self.held.store(usize::MAX, Ordering::SeqCst);
    }

    /// So many of the next commits wait for [`MemoryChangeLog::let_commit`], and no others.
    pub fn hold_next(&self, commits: usize) {
        self.held.store(commits, Ordering::SeqCst);
    }

    fn is_held(&self) -> bool {
        let one_less = |held: usize| match held {
            usize::MAX => Some(held),
            held => held.checked_sub(1),
        };
        self.held
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
    }

    /// Lets so many commits that wait, or will wait, go on.
    pub fn let_commit(&self, commits: usize) {
        self.turns.add_permits(commits);
    }

    /// Takes the store away, or brings it back.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Raises the layout to this epoch.
    pub fn set_epoch(&self, epoch: LayoutEpoch) {
        *lock(&self.epoch) = epoch;
    }

    /// Begins another history, with the same rows.
    pub fn set_incarnation(&self, incarnation: Incarnation) {
        *lock(&self.incarnation) = incarnation;
    }

    /// Begins or ends a pause for a change of the layout.
    pub fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    /// The log ids asked to be written by each commit that succeeded, in order.
    #[must_use]
    pub fn commits(&self) -> Vec<Vec<LogId>> {
        lock(&self.commits).clone()
    }

    /// The row with this key.
    #[must_use]
    pub fn row(&self, key: &ChangeLogKey) -> Option<ChangeLogRecord> {
        lock(&self.rows).get(key).cloned()
    }

    /// Puts a row as it is, e.g. one that is final.
    pub fn put(&self, record: ChangeLogRecord) {
        lock(&self.rows).insert(record.key.clone(), record);
    }

    fn answer<T>(&self, answer: T) -> Result<T, StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(away());
        }
        Ok(answer)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl ChangeLog for MemoryChangeLog {
    async fn append(
        &self,
        new: Vec<NewChangeLog>,
        placed_by: Placing,
    ) -> Result<Vec<AppendOutcome>, AppendError> {
        if self.is_held() {
            self.turns.acquire().await.unwrap().forget();
        }
        self.answer(())?;
        if self.paused.load(Ordering::SeqCst) {
            return Err(AppendError::LayoutPaused);
        }
        let current = *lock(&self.epoch);
        if current != placed_by.layout_epoch {
            return Err(AppendError::LayoutMoved { current });
        }
        let current = *lock(&self.incarnation);
        if current != placed_by.incarnation {
            return Err(AppendError::HistoryMoved { current });
        }
        let mut rows = lock(&self.rows);
        let mut commits = lock(&self.commits);
        let commit = i64::try_from(commits.len()).unwrap();
        commits.push(new.iter().map(|row| row.log_id).collect());
        let logged_at = Timestamp::from_unix_micros(1_000_000 + commit);
        let outcomes = new.into_iter().map(|row| {
            if let Some(known) = rows.get(&row.key) {
                return AppendOutcome::Known(Box::new(known.clone()));
            }
            let record = ChangeLogRecord {
                log_id: row.log_id,
                key: row.key.clone(),
                fingerprint: row.fingerprint,
                payload: row.payload,
                status: LogStatus::Init,
                reason: None,
                logged_at,
                decided_at: None,
                position: None,
                entries: Vec::new(),
            };
            rows.insert(row.key, record);
            AppendOutcome::Logged { logged_at }
        });
        Ok(outcomes.collect())
    }

    async fn find_by_log_id(&self, log_id: LogId) -> Result<Option<ChangeLogRecord>, StoreError> {
        let rows = lock(&self.rows);
        self.answer(rows.values().find(|row| row.log_id == log_id).cloned())
    }

    async fn find_by_key(&self, key: ChangeLogKey) -> Result<Option<ChangeLogRecord>, StoreError> {
        self.answer(self.row(&key))
    }

    async fn note_positions(&self, positions: Vec<PublishedPosition>) -> Result<u64, StoreError> {
        self.answer(())?;
        let mut rows = lock(&self.rows);
        let mut noted = 0;
        for position in positions {
            if let Some(row) = rows.get_mut(&position.key)
                && row.status == LogStatus::Init
            {
                row.position = Some((position.partition, position.offset));
                noted += 1;
            }
        }
        Ok(noted)
    }
}
