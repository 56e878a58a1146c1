//! The change log: appending, finding, noting positions.

use super::table::{StoreState, TxId};
use super::{Fate, StoreClient, StoreServer, away};
use async_trait::async_trait;
use axs_application::port::change_log::{
    AppendError, AppendOutcome, ChangeLog, ChangeLogKey, ChangeLogRecord, NewChangeLog, Placing,
    PublishedPosition,
};
use axs_application::port::store_error::StoreError;
use axs_application::testkit::INCARNATION;
use axs_domain::id::LogId;
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the commit of a log transaction may take: from none to well past the relay's grace.
const LATE_MILLIS_MAX: u64 = 6_000;

/// How long a statement may take; the relay's grace is longer.
const STATEMENT_TIMEOUT: Duration = Duration::from_millis(1_500);

struct LogTransaction {
    id: TxId,
    began: Timestamp,
    crashes: u64,
}

impl StoreServer {
    /// Begins a transaction that has written these keys. Waits for every other open transaction
    /// that has written one of them, as a unique index does.
    async fn write_keys(&self, keys: &[ChangeLogKey]) -> LogTransaction {
        // The time of a row is that of the beginning of its transaction.
        let began = self.now();
        let id = {
            let mut state = self.state();
            state.begin()
        };
        loop {
            let ended = self.ended.notified();
            {
                let mut state = self.state();
                if !keys.iter().any(|key| state.reserved.contains_key(key)) {
                    for key in keys {
                        state.reserved.insert(key.clone(), id);
                    }
                    // Only a transaction that has written is known to be open.
                    state.open.insert(id, began);
                    let crashes = state.crashes;
                    return LogTransaction { id, began, crashes };
                }
            }
            ended.await;
        }
    }

    fn end(&self, transaction: &LogTransaction) {
        let mut state = self.state();
        state.open.remove(&transaction.id);
        state.reserved.retain(|_, holder| *holder != transaction.id);
        drop(state);
        self.ended.notify_waiters();
    }

    /// Appends as one commit, which takes `commit_takes`.
    async fn append(
        &self,
        rows: Vec<NewChangeLog>,
        placed_by: Placing,
        commit_takes: Duration,
    ) -> Result<Vec<AppendOutcome>, AppendError> {
        self.world.travel().await;
        if self.is_down() {
            return Err(away("connection refused").into());
        }
        let current = self.state().layout.layout.epoch();
        if current != placed_by.layout_epoch {
            return Err(AppendError::LayoutMoved { current });
        }
        if placed_by.incarnation != INCARNATION {
            let current = INCARNATION;
            return Err(AppendError::HistoryMoved { current });
        }
        let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
        let writing = self.write_keys(&keys);
        let Ok(transaction) = timeout(STATEMENT_TIMEOUT, writing).await else {
            return Err(away("canceling statement due to statement timeout").into());
        };
        tokio::time::sleep(commit_takes).await;
        let outcomes = {
            let mut state = self.state();
            if state.crashes == transaction.crashes {
                Ok(self.commit_rows(&mut state, rows, transaction.began))
            } else {
                Err(away("the server was stopped").into())
            }
        };
        self.end(&transaction);
        outcomes
    }

    fn commit_rows(
        &self,
        state: &mut StoreState,
        rows: Vec<NewChangeLog>,
        logged_at: Timestamp,
    ) -> Vec<AppendOutcome> {
        let rates = self.world.weather.rates();
        rows.into_iter()
            .map(|row| {
                if let Some(known) = state.rows.get(&row.key) {
                    if self.world.strikes(rates.append_unreadable) {
                        return AppendOutcome::Unreadable("it could not be read".to_owned());
                    }
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
                if self.world.strikes(rates.statement_refused) {
                    let key = row.key.idempotency_key.as_str().to_owned();
                    state.refused_keys.insert(key);
                }
                state.rows.insert(row.key, record);
                AppendOutcome::Logged { logged_at }
            })
            .collect()
    }
}

#[async_trait]
impl ChangeLog for StoreClient {
    async fn append(
        &self,
        rows: Vec<NewChangeLog>,
        placed_by: Placing,
    ) -> Result<Vec<AppendOutcome>, AppendError> {
        self.process.pass().await;
        let world = Arc::clone(&self.server.world);
        let fate = self.server.fate();
        if fate == Fate::Refused {
            world.travel().await;
            self.process.note("append: refused");
            return Err(away("connection refused").into());
        }
        let late = world.strikes(world.weather.rates().append_late);
        let commit_takes = if late {
            world.tally.count("appends committed late");
            world.millis(200..LATE_MILLIS_MAX)
        } else {
            Duration::from_micros(world.pick(200..4_000))
        };
        if commit_takes > crate::settings::RELAY_GRACE {
            world
                .tally
                .count("appends visible only past the relay's grace");
        }
        let count = rows.len();
        let server = Arc::clone(&self.server);
        let at_the_server =
            tokio::spawn(async move { server.append(rows, placed_by, commit_takes).await });
        // A lost connection is noticed at once: the transaction goes on without its client.
        let answer = if fate == Fate::AnswerLost {
            world.tally.count("appends with a lost answer, applied");
            world.travel().await;
            Err(away("connection lost").into())
        } else {
            let answered = at_the_server.await;
            answered.unwrap_or_else(|died| {
                world.wrong("harness", format!("append: {died}"));
                Err(away("it died").into())
            })
        };
        world.travel().await;
        self.process.pass().await;
        let word = if answer.is_ok() { "ok" } else { "unknown" };
        self.process.note(&format!("append of {count}: {word}"));
        answer
    }

    async fn find_by_log_id(&self, log_id: LogId) -> Result<Option<ChangeLogRecord>, StoreError> {
        self.statement("find_by_log_id", move |state, _| {
            state.rows.values().find(|r| r.log_id == log_id).cloned()
        })
        .await
    }

    async fn find_by_key(&self, key: ChangeLogKey) -> Result<Option<ChangeLogRecord>, StoreError> {
        self.statement("find_by_key", move |state, _| state.rows.get(&key).cloned())
            .await
    }

    async fn note_positions(&self, positions: Vec<PublishedPosition>) -> Result<u64, StoreError> {
        self.statement("note_positions", move |state, _| {
            let mut noted = 0;
            for position in positions {
                if let Some(row) = state.rows.get_mut(&position.key)
                    && row.status == LogStatus::Init
                {
                    row.position = Some((position.partition, position.offset));
                    noted += 1;
                }
            }
            noted
        })
        .await
    }
}
