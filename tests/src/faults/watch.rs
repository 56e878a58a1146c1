//! What is looked at while a row runs: results, the cache, and who leads.

use super::invariant::{Invariant, Violations};
use super::journal::Journal;
use super::load::Roster;
use axs_proto::v1::{EventState, EventStatus, ReadConsistency, ReadSource};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// The pause between two looks at results and at the cache.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// The pause between two looks at the leases: take-overs are timed by it.
const LEASES_EVERY: Duration = Duration::from_millis(10);

/// A look gives up after this time.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is looked at is drawn from these numbers, and counted round and round.
const WISHES: std::ops::Range<usize> = 0..1_000_000;

/// Results as they were given, by log id.
pub type Given = BTreeMap<String, EventState>;

/// Who holds a partition's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Tenure {
    /// The partition.
    pub partition: i32,
    /// The token of the lease.
    pub fencing_token: i64,
    /// The consumer, if there was ever one.
    pub owner: Option<Uuid>,
}

/// A lease that changed hands.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// When it was seen, since the Unix epoch, by this machine's clock.
    pub at: Duration,
    /// What stands since.
    pub tenure: Tenure,
}

/// What the watch saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// The first result given for each event.
    pub given: Given,
    /// Every change of a lease.
    pub changes: Vec<Change>,
    /// How often a cached balance was compared with the committed one.
    pub cache_reads: u64,
    /// What must not be.
    pub violations: Violations,
}

/// A watch that runs until it is stopped.
#[derive(Debug)]
pub struct Watch {
    tasks: JoinSet<()>,
    seen: Arc<Mutex<Seen>>,
}

impl Watch {
    /// Begins to look.
    #[must_use]
    pub fn begin(
        pool: PgPool,
        roster: &Roster,
        journal: &Journal,
        accounts: Vec<i64>,
        seed: u64,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        let look = Look {
            roster: roster.clone(),
            journal: journal.clone(),
            accounts: Arc::new(accounts),
            seen: Arc::clone(&seen),
        };
        tasks.spawn(look.clone().results(StdRng::seed_from_u64(seed)));
        tasks.spawn(look.clone().cache(StdRng::seed_from_u64(!seed)));
        tasks.spawn(look.leases(pool));
        Self { tasks, seen }
    }

    /// Cached balances that were compared with committed ones so far.
    pub fn cache_reads(&self) -> u64 {
        lock(&self.seen).cache_reads
    }

    /// Every change of a lease so far.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        lock(&self.seen).changes.clone()
    }

    /// Takes in a result that was read elsewhere.
    pub fn see(&self, log_id: &str, state: EventState) {
        let seen = &mut *lock(&self.seen);
        note_result(&mut seen.given, &mut seen.violations, log_id, state);
    }

    /// Ends, and gives what was seen.
    pub async fn stop(mut self) -> Seen {
        self.tasks.shutdown().await;
        std::mem::take(&mut *lock(&self.seen))
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This machine's clock, since the Unix epoch.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Whether an event is through.
#[must_use]
pub fn is_final(state: &EventState) -> bool {
    matches!(state.status(), EventStatus::Applied | EventStatus::Rejected)
}

/// Notes a result that was given, and says so when it is another than before.
pub fn note_result(
    given: &mut Given,
    violations: &mut Violations,
    log_id: &str,
    state: EventState,
) {
    if !is_final(&state) {
        if let Some(before) = given.get(log_id) {
            violations.add(
                Invariant::I8,
                format!("{log_id} had a result, {before:?}, and has none now: {state:?}"),
            );
        }
        return;
    }
    match given.get(log_id) {
        Some(before) if *before != state => violations.add(
            Invariant::I8,
            format!("the result of {log_id} was {before:?} and is {state:?}"),
        ),
        Some(_) => {}
        None => {
            given.insert(log_id.to_owned(), state);
        }
    }
}

#[derive(Clone)]
struct Look {
    roster: Roster,
    journal: Journal,
    accounts: Arc<Vec<i64>>,
    seen: Arc<Mutex<Seen>>,
}

impl Look {
    /// Events of before are looked up again and again.
    async fn results(self, mut rng: StdRng) {
        loop {
            sleep(LOOK_EVERY).await;
            let Some(log_id) = self.journal.accepted(rng.random_range(WISHES)) else {
                continue;
            };
            let Some((_, client)) = self.roster.pick(rng.random_range(WISHES)) else {
                continue;
            };
            // A process that is gone tells nothing; the next look asks another.
            if let Ok(Ok(found)) = timeout(PATIENCE, client.event(&log_id)).await {
                let seen = &mut *lock(&self.seen);
                let state = found.state.unwrap_or_default();
                note_result(&mut seen.given, &mut seen.violations, &log_id, state);
            }
        }
    }

    /// A cached balance is read, and then the committed one, which must not be older.
    async fn cache(self, mut rng: StdRng) {
        loop {
            sleep(LOOK_EVERY).await;
            let wish = rng.random_range(WISHES);
            let Some(at) = wish.checked_rem(self.accounts.len()) else {
                return;
            };
            let account = self.accounts[at];
            let Some((_, client)) = self.roster.pick(rng.random_range(WISHES)) else {
                continue;
            };
            let both = async {
                let cached = client.balances(&[account], ReadConsistency::Cached).await?;
                let committed = client
                    .balances(&[account], ReadConsistency::Committed)
                    .await?;
                anyhow::Ok((cached, committed))
            };
            let Ok(Ok((cached, committed))) = timeout(PATIENCE, both).await else {
                continue;
            };
            let (Some(cached), Some(committed)) = (cached.first(), committed.first()) else {
                continue;
            };
            if cached.source() != ReadSource::Cache {
                continue;
            }
            let seen = &mut *lock(&self.seen);
            seen.cache_reads += 1;
            for balance in &cached.balances {
                let newest = committed
                    .balances
                    .iter()
                    .find(|it| it.currency_code == balance.currency_code);
                let sound = newest
                    .is_some_and(|newest| newest.version > balance.version || newest == balance);
                seen.violations.unless(sound, Invariant::I9, || {
                    format!("account {account}: the cache had {balance:?}, PostgreSQL {newest:?} after it")
                });
            }
        }
    }

    async fn leases(self, pool: PgPool) {
        let mut standing: BTreeMap<i32, Tenure> = BTreeMap::new();
        loop {
            let look = sqlx::query_as::<_, Tenure>(
                "SELECT partition, fencing_token, owner FROM partition_leases",
            )
            .fetch_all(&pool);
            if let Ok(Ok(tenures)) = timeout(PATIENCE, look).await {
                let at = now();
                for tenure in tenures {
                    if standing.insert(tenure.partition, tenure) != Some(tenure) {
                        lock(&self.seen).changes.push(Change { at, tenure });
                    }
                }
            }
            sleep(LEASES_EVERY).await;
        }
    }
}
