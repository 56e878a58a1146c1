//! Where a row plays: its deployment, its proxies, its clients.

mod cast;
mod doors;
mod wait;

pub use cast::Leader;
pub use doors::Doors;
pub use wait::{moment, take_overs};

use super::failpoint::HitLog;
use super::journal::Journal;
use super::load::{Load, Roster};
use super::row::{Count, Row};
use super::watch::Watch;
use super::witness;
use crate::deployment::{Api, Deployment, DeploymentBuilder};
use crate::script::Script;
use crate::session::{SessionPlan, generate};
use anyhow::Result;
use axs_proto::v1::EventState;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::time::Duration;

/// The lease of every row. Short, so that take-overs are; long enough for two busy cores.
pub const LEASE: Duration = Duration::from_millis(2_000);

/// Partitions of the layout of tests.
pub const PARTITIONS: usize = 3;

/// Events that a session may send at most; a load ends sooner.
const EVENTS_MAX: usize = 8_000;

/// Where one row plays.
#[derive(Debug)]
pub struct Scene {
    /// What clients send.
    pub script: Script,
    /// Drawn from the row's seed.
    pub rng: StdRng,
    /// What clients sent.
    pub journal: Journal,
    /// The API processes that clients use.
    pub roster: Roster,
    /// API processes by their numbers.
    pub apis: BTreeMap<usize, Api>,
    /// Consumers in the order of their start.
    pub leaders: Vec<Leader>,
    /// What was counted.
    pub counts: BTreeMap<Count, u64>,
    /// The longest take-over after a kill.
    pub take_over: Option<Duration>,
    /// Hits of failpoints.
    pub hits: HitLog,
    /// The running watch.
    pub watch: Option<Watch>,
    load: Option<Load>,
    doors: Vec<Doors>,
    /// How many hits of each point were waited for.
    hits_seen: BTreeMap<String, usize>,
    seed: u64,
    apis_started: usize,
    /// Database, topic and the rest. Its own lists of processes stay empty: they are here, and end
    /// before it.
    pub deployment: Deployment,
}

impl Scene {
    /// A migrated, laid out, empty deployment with the row's settings.
    ///
    /// # Errors
    /// A server is away, or a command fails.
    pub async fn set(row: &Row, seed: u64) -> Result<Self> {
        let builder = (row.shape)(base(row.name));
        let deployment = builder.prepare().await?;
        builder.lay_out(&deployment).await?;
        witness::install(&deployment.database.pool).await?;
        let hits = HitLog::in_folder(deployment.folder());
        Ok(Self {
            deployment,
            script: generate(SessionPlan {
                retail_accounts: 60,
                whale_accounts: 6,
                ..SessionPlan::new(EVENTS_MAX, seed)
            }),
            rng: StdRng::seed_from_u64(seed),
            journal: Journal::default(),
            roster: Roster::default(),
            apis: BTreeMap::new(),
            leaders: Vec::new(),
            counts: BTreeMap::new(),
            take_over: None,
            hits,
            watch: None,
            load: None,
            doors: Vec::new(),
            hits_seen: BTreeMap::new(),
            seed,
            apis_started: 0,
        })
    }

    /// Adds to a count.
    pub fn count(&mut self, what: Count, more: u64) {
        *self.counts.entry(what).or_default() += more;
    }

    /// Notes that a fault was put in so many times, and what was in flight then.
    pub async fn injected(&mut self, times: u64) {
        self.count(Count::Injections, times);
        let pending = self.deployment.database.pending_events().await;
        self.count(
            Count::InFlight,
            pending.map_or(0, |it| u64::try_from(it).unwrap_or(0)),
        );
    }

    /// Tells the watch of a result that was read elsewhere.
    pub fn see(&self, log_id: &str, state: EventState) {
        if let Some(watch) = &self.watch {
            watch.see(log_id, state);
        }
    }

    /// Ends what runs, and removes what was made.
    pub fn end(mut self) {
        self.apis.clear();
        self.leaders.clear();
        self.deployment.abandon();
    }
}

/// Settings of every row: a short lease, a quick relay, quick retries.
fn base(name: &str) -> DeploymentBuilder {
    let mut letters: String = name
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect();
    letters.truncate(30);
    Deployment::builder(&letters)
        .setting("AXS__LEASE__TTL_MS", LEASE.as_millis())
        .setting("AXS__LEASE__RETRY_AFTER_REFUSAL_MS", 200)
        .setting("AXS__DATABASE__STATEMENT_TIMEOUT_MS", 2_000)
        .setting("AXS__PROCESSING__RELAY_GRACE_MS", 3_000)
        .setting("AXS__PROCESSING__RELAY_INTERVAL_MS", 200)
        .setting("AXS__PROCESSING__DRAIN_MS", 3_000)
        .setting("AXS__GRPC__DRAIN_MS", 3_000)
        // Below the patience of the suite's clients: what is logged is told as logged.
        .setting("AXS__WRITE_SIDE__PUBLISHED_WAIT_MS", 1_500)
}
