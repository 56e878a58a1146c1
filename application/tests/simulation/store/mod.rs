//! PostgreSQL as the ports promise it, with its accidents.
//!
//! The *server* lives through every process: rows, locks and open transactions are its own. A
//! *client* is one process's way to it. Every statement is a task of the server, so a client that
//! dies after it asked changes nothing of what happens there, and one that dies inside a
//! transaction leaves it to be rolled back.

mod append;
mod batch;
mod leadership;
mod lookups;
mod relay;
mod results;
mod table;

pub use results::stored_result;
pub use table::StoreState;

use crate::process::Process;
use crate::world::{World, lock};
use axs_application::port::layout_store::StoredLayout;
use axs_application::port::store_error::StoreError;
use axs_domain::id::PartitionId;
use axs_domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::Notify;

/// Guards that a test takes out, to see that their loss is found.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreBreaks {
    /// A row that is final already is finalised again.
    pub init_guard_left_out: bool,
    /// Whoever writes is let in, whatever its token.
    pub token_not_checked: bool,
    /// The leader row is read and not locked.
    pub fence_is_a_plain_select: bool,
}

/// The database.
pub struct StoreServer {
    pub world: Arc<World>,
    state: Mutex<StoreState>,
    /// The leader rows' locks, first come first served.
    locks: BTreeMap<PartitionId, Arc<tokio::sync::Mutex<()>>>,
    /// Told when a transaction that others may wait for ends.
    ended: Notify,
    down: AtomicBool,
    pub breaks: StoreBreaks,
}

/// What becomes of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    Refused,
    AnswerLost,
}

impl StoreServer {
    pub fn new(world: &Arc<World>, layout: StoredLayout, breaks: StoreBreaks) -> Arc<Self> {
        let partitions: Vec<_> = layout.layout.partitions().collect();
        Arc::new(Self {
            world: Arc::clone(world),
            state: Mutex::new(StoreState::laid_out(layout)),
            locks: partitions
                .into_iter()
                .map(|partition| (partition, Arc::default()))
                .collect(),
            ended: Notify::new(),
            down: AtomicBool::new(false),
            breaks,
        })
    }

    /// What stands, for whoever looks from outside.
    pub fn state(&self) -> MutexGuard<'_, StoreState> {
        lock(&self.state)
    }

    /// The server's clock.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.world.store_micros())
    }

    /// Stops the server: every open transaction is rolled back.
    pub fn go_down(&self) {
        self.world.tally.count("store outages");
        self.world.note("store", "goes down");
        self.down.store(true, Ordering::SeqCst);
        self.state().crash();
        self.ended.notify_waiters();
    }

    pub fn come_up(&self) {
        self.world.note("store", "comes up");
        self.down.store(false, Ordering::SeqCst);
    }

    fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    fn fate(&self) -> Fate {
        let rates = self.world.weather.rates();
        if self.world.strikes(rates.store_refuses) {
            Fate::Refused
        } else if self.world.strikes(rates.store_answer_lost) {
            Fate::AnswerLost
        } else {
            Fate::Answered
        }
    }
}

fn away(reason: &str) -> StoreError {
    StoreError::Unavailable {
        store: "the simulated store".to_owned(),
        reason: reason.to_owned(),
    }
}

/// One process's way to the store.
#[derive(Clone)]
pub struct StoreClient {
    pub server: Arc<StoreServer>,
    pub process: Arc<Process>,
}

impl StoreClient {
    /// One statement that commits by itself.
    async fn statement<R: Send + 'static>(
        &self,
        what: &str,
        act: impl FnOnce(&mut StoreState, Timestamp) -> R + Send + 'static,
    ) -> Result<R, StoreError> {
        self.process.pass().await;
        let fate = self.server.fate();
        let server = Arc::clone(&self.server);
        let at_the_server = tokio::spawn(async move {
            server.world.travel().await;
            if fate == Fate::Refused || server.is_down() {
                return Err(away("connection refused"));
            }
            let now = server.now();
            Ok(act(&mut server.state(), now))
        });
        let done = match at_the_server.await {
            Ok(done) => done,
            Err(died) => {
                let world = &self.server.world;
                world.wrong("harness", format!("{what}: {died}"));
                Err(away("it died"))
            }
        };
        self.server.world.travel().await;
        self.process.pass().await;
        let answer = match done {
            Ok(_) if fate == Fate::AnswerLost => Err(away("connection lost")),
            done => done,
        };
        let word = if answer.is_ok() { "ok" } else { "away" };
        self.process.note(&format!("{what}: {word}"));
        answer
    }
}
