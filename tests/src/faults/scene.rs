//! Where a row plays: its deployment, its proxies, its clients.

use super::failpoint::{self, Hit, HitLog};
use super::journal::{Answer, Journal};
use super::load::{Load, Roster};
use super::row::{Count, Row};
use super::watch::{Change, Tenure, Watch, now};
use super::witness;
use crate::deadline::{Look, Patience, until};
use crate::deployment::{Api, Deployment, DeploymentBuilder};
use crate::ops;
use crate::process::Process;
use crate::proxy::{Protocol, Proxy};
use crate::script::Script;
use crate::session::{SessionPlan, generate};
use anyhow::{Context, Result, ensure};
use axs_proto::v1::EventState;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// The lease of every row. Short, so that take-overs are; long enough for two busy cores.
pub const LEASE: Duration = Duration::from_millis(2_000);

/// Partitions of the layout of tests.
pub const PARTITIONS: usize = 3;

/// Events that a session may send at most; a load ends sooner.
const EVENTS_MAX: usize = 8_000;

/// Streams of the load.
const STREAMS: usize = 8;

/// A fault that does not come within this time is not put in.
const HIT_WITHIN: Duration = Duration::from_secs(40);

/// A consumer, and who it is in the leases.
#[derive(Debug)]
pub struct Leader {
    /// The process.
    pub process: Process,
    /// Its owner id.
    pub owner: Uuid,
}

/// The three servers behind proxies, for processes that are to lose them.
#[derive(Debug)]
pub struct Doors {
    /// PostgreSQL.
    pub postgres: Proxy,
    /// Kafka.
    pub kafka: Proxy,
    /// Redis.
    pub redis: Proxy,
    settings: Vec<(String, String)>,
}

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

    /// Doors to the three servers, open.
    ///
    /// # Errors
    /// No port is free, or a server has no address.
    pub async fn doors(&self) -> Result<Doors> {
        let servers = &self.deployment.servers;
        let host_port = |url: &url::Url, port: u16| {
            format!(
                "{}:{}",
                url.host_str().unwrap_or("127.0.0.1"),
                url.port().unwrap_or(port)
            )
        };
        let postgres =
            Proxy::before(&host_port(&servers.database, 5432), Protocol::Postgres).await?;
        let redis = Proxy::before(&host_port(&servers.redis, 6379), Protocol::Plain).await?;
        let kafka = Proxy::before(&servers.brokers, Protocol::Kafka).await?;
        let through = |url: &url::Url, proxy: &Proxy| -> Result<String> {
            let mut url = url.clone();
            url.set_ip_host(proxy.address().ip())
                .ok()
                .context("an address")?;
            url.set_port(Some(proxy.address().port()))
                .ok()
                .context("an address")?;
            Ok(url.to_string())
        };
        let settings = vec![
            (
                "AXS__DATABASE__URL".to_owned(),
                through(&self.deployment.database.url, &postgres)?,
            ),
            (
                "AXS__CACHE__URL".to_owned(),
                through(&servers.redis, &redis)?,
            ),
            (
                "AXS__KAFKA__BROKERS".to_owned(),
                kafka.address().to_string(),
            ),
        ];
        Ok(Doors {
            postgres,
            kafka,
            redis,
            settings,
        })
    }

    /// Starts an API process, ready and open to clients. Gives its number.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn api(&mut self, plan: &str, through: Option<&Doors>) -> Result<usize> {
        let settings = self.settings(plan, through);
        let mut api = self.deployment.spawn_api(&borrowed(&settings))?;
        api.process.ready().await?;
        let number = self.apis_started;
        self.apis_started += 1;
        self.roster.add(number, api.client.clone());
        self.apis.insert(number, api);
        Ok(number)
    }

    /// Starts a consumer, and waits until it is ready. Gives its place in the list.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn leader(&mut self, plan: &str, through: Option<&Doors>) -> Result<usize> {
        let settings = self.settings(plan, through);
        self.leader_with(&settings).await
    }

    /// The same with settings of its own.
    ///
    /// # Errors
    /// It is not ready in time.
    pub async fn leader_with(&mut self, settings: &[(String, String)]) -> Result<usize> {
        let mut process = self.deployment.spawn_consumer(&borrowed(settings))?;
        let owner = until(
            "a consumer to say who it is",
            Patience::PROCESS,
            async || {
                ensure!(
                    process.ended()?.is_none(),
                    "it ended: {}",
                    process.log_tail()
                );
                Ok(match owner_in(&process.log()) {
                    Some(owner) => Look::There(owner),
                    None => Look::NotYet(process.log_tail()),
                })
            },
        )
        .await?;
        self.leaders.push(Leader { process, owner });
        Ok(self.leaders.len() - 1)
    }

    /// Settings of a process with a plan of failpoints behind these doors.
    #[must_use]
    pub fn settings(&self, plan: &str, through: Option<&Doors>) -> Vec<(String, String)> {
        let mut settings = through.map_or_else(Vec::new, |doors| doors.settings.clone());
        if !plan.is_empty() {
            settings.extend(failpoint::environment(plan, self.hits.path()));
        }
        settings
    }

    /// Two API processes and two consumers, the first of each with a plan, and the load.
    ///
    /// # Errors
    /// A process is not ready in time.
    pub async fn cast(&mut self, api_plan: &str, leader_plan: &str) -> Result<()> {
        self.api(api_plan, None).await?;
        self.api("", None).await?;
        self.leader(leader_plan, None).await?;
        self.leader("", None).await?;
        self.led_by(2).await?;
        self.begin_load().await
    }

    /// The same with the first consumer behind doors.
    ///
    /// # Errors
    /// A process is not ready in time.
    pub async fn cast_behind(&mut self, doors: &Doors) -> Result<()> {
        self.api("", None).await?;
        self.api("", None).await?;
        self.leader("", Some(doors)).await?;
        self.leader("", None).await?;
        self.led_by(2).await?;
        self.begin_load().await
    }

    /// Waits until every partition is led, evenly, by so many consumers.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn led_by(&self, consumers: usize) -> Result<()> {
        self.deployment.led_by(PARTITIONS, consumers).await
    }

    /// Registers currencies, opens accounts, begins the load and the watch, and waits until the
    /// load is well under way.
    ///
    /// # Errors
    /// The API refuses, or nobody decides.
    pub async fn begin_load(&mut self) -> Result<()> {
        self.start_load().await?;
        self.results(100).await
    }

    /// The same without waiting, for a fault that may come with the first batches.
    ///
    /// # Errors
    /// The API refuses.
    pub async fn start_load(&mut self) -> Result<()> {
        let (_, client) = self.roster.pick(0).context("no API")?;
        client.register(&self.script.currencies).await?;
        client.open(&self.script.accounts).await?;
        let accounts = self.script.accounts.iter().map(|it| it.account_id);
        self.watch = Some(Watch::begin(
            self.deployment.database.pool.clone(),
            &self.roster,
            &self.journal,
            accounts.collect(),
            self.seed,
        ));
        self.load = Some(Load::begin(
            &self.script,
            STREAMS,
            self.seed,
            &self.roster,
            &self.journal,
        ));
        Ok(())
    }

    /// Lets the clients end.
    pub async fn end_load(&mut self) {
        if let Some(load) = self.load.take() {
            load.stop().await;
        }
    }

    /// Waits until so many more events have results.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn results(&self, more: i64) -> Result<()> {
        let mut wanted = None;
        let what = format!("{more} more results");
        until(&what, Patience::PROCESS, async || {
            // The database may be the one that is away.
            let Ok(results) = self.final_events().await else {
                return Ok(Look::NotYet("no answer".to_owned()));
            };
            let wanted = *wanted.get_or_insert(results + more);
            Ok(if results >= wanted {
                Look::There(())
            } else {
                Look::NotYet(format!("{results} of {wanted}"))
            })
        })
        .await
    }

    /// Waits until the watch has compared a cached balance with the committed one.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn cache_compared(&self) -> Result<()> {
        until("a cached balance", Patience::PROCESS, async || {
            let compared = self.watch.as_ref().map_or(0, Watch::cache_reads);
            Ok(if compared > 0 {
                Look::There(())
            } else {
                Look::NotYet("none was compared".to_owned())
            })
        })
        .await
    }

    /// Waits until every event that is logged by now has a result.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn all_final_until_now(&self) -> Result<()> {
        let pool = &self.deployment.database.pool;
        let newest: Option<Uuid> =
            sqlx::query_scalar("SELECT max(log_id::text)::uuid FROM balance_change_states")
                .fetch_one(pool)
                .await?;
        until(
            "what is logged to be final",
            Patience::PROCESS,
            async || {
                let open: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM balance_change_states WHERE status = 0 AND log_id <= $1",
                )
                .bind(newest)
                .fetch_one(pool)
                .await?;
                Ok(if open == 0 {
                    Look::There(())
                } else {
                    Look::NotYet(format!("{open} are open"))
                })
            },
        )
        .await
    }

    /// Events with a result.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn final_events(&self) -> Result<i64> {
        self.deployment
            .database
            .number("SELECT count(*) FROM balance_change_states WHERE status IN (1, 2)")
            .await
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

    /// Waits for the next hit of a failpoint, and notes it.
    ///
    /// # Errors
    /// It did not come.
    pub async fn hit(&mut self, point: &str) -> Result<Hit> {
        let seen = self.hits_seen.entry(point.to_owned()).or_default();
        *seen += 1;
        let hit = self.hits.wait(point, *seen, HIT_WITHIN).await?;
        self.injected(1).await;
        Ok(hit)
    }

    /// Wakes a stopped process, or tells any other signal.
    ///
    /// # Errors
    /// The system refuses.
    pub fn signal(&mut self, leader: usize, signal: Signal) -> Result<()> {
        self.leaders[leader].process.signal(signal)
    }

    /// Waits until everything that an owner led when it was hit is led by others, and notes how
    /// long that took since.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn replaced(&mut self, owner: Uuid, since: Duration) -> Result<Duration> {
        let watch = self.watch.as_ref().context("no watch")?;
        let what = format!("everything that {owner} led to be led by others");
        let took = until(&what, Patience::PROCESS, async || {
            Ok(match took_over(&watch.changes(), owner, since) {
                Some(took) => Look::There(took),
                None => Look::NotYet("not all".to_owned()),
            })
        })
        .await?;
        Ok(took)
    }

    /// The same after a kill: the time is held to the bound of a take-over.
    ///
    /// # Errors
    /// Not within the bound.
    pub async fn replaced_after_kill(&mut self, owner: Uuid, since: Duration) -> Result<()> {
        let took = self.replaced(owner, since).await?;
        self.take_over = self.take_over.max(Some(took));
        Ok(())
    }

    /// How often leaders that live said that they skipped a record which had come before.
    pub async fn skipped(&mut self) -> u64 {
        let mut skipped = 0.0;
        for leader in &mut self.leaders {
            if matches!(leader.process.ended(), Ok(None))
                && let Ok(page) = ops::get(leader.process.ops(), "/metrics").await
            {
                skipped += ops::metric(&page.body, "axs_redeliveries_total").unwrap_or(0.0);
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of records is small and never negative"
        )]
        let skipped = skipped as u64;
        skipped
    }

    /// Kills a consumer by hand.
    ///
    /// # Errors
    /// The system refuses, or nobody takes its place.
    pub async fn kill_leader(&mut self, leader: usize) -> Result<()> {
        let (owner, at) = (self.leaders[leader].owner, moment());
        self.leaders[leader].process.kill()?;
        self.replaced_after_kill(owner, at).await
    }

    /// Keeps doors until the row ends: processes are still behind them.
    pub fn keep(&mut self, doors: Doors) {
        self.doors.push(doors);
    }

    /// Tells the watch of a result that was read elsewhere.
    pub fn see(&self, log_id: &str, state: EventState) {
        if let Some(watch) = &self.watch {
            watch.see(log_id, state);
        }
    }

    /// Events that the API refused for good.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        let sent = self.journal.all();
        let refused = sent
            .iter()
            .filter(|sent| matches!(sent.answer, Answer::Refused(_)));
        refused.count() as u64
    }

    /// Ends what runs, and removes what was made.
    pub fn end(mut self) {
        self.apis.clear();
        self.leaders.clear();
        self.deployment.abandon();
    }

    /// Everything runs again: at least two API processes and two consumers that answer.
    ///
    /// # Errors
    /// A new process is not ready in time.
    pub async fn heal(&mut self) -> Result<()> {
        let mut gone = Vec::new();
        for (number, api) in &mut self.apis {
            if api.process.ended()?.is_some() {
                gone.push(*number);
            }
        }
        for number in gone {
            self.apis.remove(&number);
            self.roster.remove(number);
        }
        while self.apis.len() < 2 {
            self.api("", None).await?;
        }
        let mut live = 0;
        for leader in &mut self.leaders {
            // One that was stopped and nobody woke.
            leader.process.signal(Signal::CONT)?;
            live += usize::from(leader.process.ended()?.is_none());
        }
        while live < 2 {
            self.leader("", None).await?;
            live += 1;
        }
        Ok(())
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

fn borrowed(settings: &[(String, String)]) -> Vec<(&str, &str)> {
    settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

/// The consumer says at its start who it is.
fn owner_in(log: &str) -> Option<Uuid> {
    let (_, rest) = log
        .lines()
        .find(|line| line.contains("leading partitions"))?
        .split_once("owner=")?;
    let word: String = rest
        .chars()
        .take_while(|letter| letter.is_ascii_hexdigit() || *letter == '-')
        .collect();
    word.parse().ok()
}

/// How long after a moment the last partition that the owner led then had another leader; `None`
/// while there is one without.
fn took_over(changes: &[Change], owner: Uuid, since: Duration) -> Option<Duration> {
    let mut standing: BTreeMap<i32, Tenure> = BTreeMap::new();
    let mut last = Duration::ZERO;
    for change in changes.iter().filter(|change| change.at <= since) {
        standing.insert(change.tenure.partition, change.tenure);
    }
    for (partition, tenure) in standing {
        if tenure.owner != Some(owner) {
            continue;
        }
        let next = changes.iter().find(|change| {
            change.at > since
                && change.tenure.partition == partition
                && change.tenure.owner.is_some_and(|next| next != owner)
        })?;
        last = last.max(next.at.saturating_sub(since));
    }
    Some(last)
}

/// How many take-overs there were after the moment: leases that went to another owner.
#[must_use]
pub fn take_overs(changes: &[Change], since: Duration) -> u64 {
    let mut owners: BTreeMap<i32, Uuid> = BTreeMap::new();
    let mut count = 0;
    for change in changes {
        let Some(owner) = change.tenure.owner else {
            continue;
        };
        let before = owners.insert(change.tenure.partition, owner);
        if change.at > since && before.is_some_and(|before| before != owner) {
            count += 1;
        }
    }
    count
}

/// Now, for [`take_overs`].
#[must_use]
pub fn moment() -> Duration {
    now()
}
