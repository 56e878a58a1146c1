//! A deployment with accounts that have funds, ready to be measured.

use crate::commit_delay::delay_commits;
use crate::load::{
    Accounts, Changes, Ending, EventWriter, FUNDED, LoadOutcome, LoadPlan, LoadRun, Pace,
    Population, start,
};
use crate::screen::Screen;
use crate::watch::{MetricsPage, Processes, stored, until_stored};
use anyhow::{Context, Result, bail, ensure};
use axs_proto::v1::{CreateAccountsRequest, Currency, NewAccount, create_account_result};
use axs_tests::client::ApiClient;
use axs_tests::database::Database;
use axs_tests::deadline::{Look, Patience, until};
use axs_tests::deployment::{Deployment, PoolShape};
use futures::{StreamExt, TryStreamExt, stream};
use sqlx::Executor;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Accounts of the base case.
pub const ACCOUNTS: i64 = 100_000;

/// Partitions of the base case.
pub const PARTITIONS: usize = 4;

/// Shards, whatever the number of partitions.
pub const SHARDS: usize = 48;

/// Accounts opened by one request, and such requests at once.
const OPENED_A_REQUEST: usize = 1_000;
const OPENED_AT_ONCE: usize = 4;

/// Currencies beside the funded one.
pub const OTHER_CURRENCIES: usize = 100;

/// What every account gets before anything is measured: more than any run can take.
pub const FUNDS: &str = "1000000000";

/// HTTP/2 connections of a load.
const CONNECTIONS: usize = 4;

/// Callers of a load that shall be as fast as it can.
pub const CALLERS: usize = 16;

/// Events of a request of the base case.
pub const EVENTS_A_REQUEST: usize = 50;

/// Events of a request that only prepares.
const PREPARING_EVENTS_A_REQUEST: usize = 500;

/// How long Kafka may take to report what was logged before.
const PUBLISHED_WITHIN: Duration = Duration::from_secs(60);

/// How long processes may take to preload what they remember.
const PRELOADED_WITHIN: Duration = Duration::from_secs(900);

/// Looks in a row that must see no preloading: it begins a moment after a process is ready.
const IDLE_LOOKS: u32 = 4;

/// What a stage shall be.
#[derive(Debug, Clone, Copy)]
pub struct StagePlan {
    /// In the names of its database, topics and keys.
    pub name: &'static str,
    /// Its partitions, a multiple of nothing in particular.
    pub partitions: usize,
    /// API processes.
    pub apis: usize,
    /// Consumers.
    pub consumers: usize,
    /// Accounts, numbered from 1.
    pub accounts: i64,
    /// How much longer each commit takes than the disk needs.
    pub commit_delay: Option<Duration>,
    /// Settings of every process, beside the default ones.
    pub settings: &'static [(&'static str, &'static str)],
}

impl StagePlan {
    /// The base case: one API process, one consumer, 100,000 accounts over 48 shards of 4
    /// partitions.
    pub const fn base(name: &'static str) -> Self {
        Self {
            name,
            partitions: PARTITIONS,
            apis: 1,
            consumers: 1,
            accounts: ACCOUNTS,
            commit_delay: None,
            settings: &[],
        }
    }
}

/// A deployment ready to be measured.
#[derive(Debug)]
pub struct Stage {
    /// The deployment.
    pub deployment: Deployment,
    /// Accounts by shard.
    pub shards: BTreeMap<i32, Vec<i64>>,
    /// All accounts.
    pub accounts: Arc<[i64]>,
    plan: StagePlan,
}

/// Seeds: each writer of a process has its own, so that no two make the same keys.
static NEXT_SEED: AtomicU64 = AtomicU64::new(1);

/// Tags: each load's results can be told from those of the others.
static NEXT_TAG: AtomicU64 = AtomicU64::new(1);

impl Stage {
    /// Starts processes with the product's default settings, opens the accounts and funds them.
    ///
    /// # Errors
    /// A server is away, a process does not start, or something is refused.
    pub async fn set(plan: StagePlan, screen: Screen) -> Result<Self> {
        let mut stage = Self::unopened(plan, screen).await?;
        stage.shards = open_accounts(&stage.deployment.client(0)?, plan.accounts).await?;
        stage.fund().await?;
        if plan.consumers == 0 {
            stage.stop_consumers().await?;
        }
        Ok(stage)
    }

    /// The same before the accounts are opened: whoever does it otherwise knows their shards.
    ///
    /// # Errors
    /// A server is away, or a process does not start.
    pub async fn unopened(plan: StagePlan, screen: Screen) -> Result<Self> {
        screen.say(&format!(
            "{}: a deployment with {} API, {} consumer, {} partitions, {} accounts",
            plan.name, plan.apis, plan.consumers, plan.partitions, plan.accounts
        ));
        let builder = Deployment::builder(&format!("bench_{}", plan.name)).with_default_settings();
        let builder = plan
            .settings
            .iter()
            .fold(builder, |builder, (name, value)| {
                builder.setting(name, value)
            })
            .pools(&[PoolShape {
                name: "retail",
                shards: SHARDS,
                partitions: plan.partitions,
            }]);
        let mut deployment = builder.prepare().await?;
        if let Some(delay) = plan.commit_delay {
            delay_commits(&deployment.database, delay).await?;
        }
        builder.lay_out(&deployment).await?;
        deployment.start(plan.apis, plan.consumers.max(1)).await?;
        deployment
            .led_by(plan.partitions, plan.consumers.max(1))
            .await?;
        let client = deployment.client(0)?;
        client.register(&currencies()).await?;
        Ok(Self {
            deployment,
            shards: BTreeMap::new(),
            accounts: (1..=plan.accounts).collect(),
            plan,
        })
    }

    async fn fund(&self) -> Result<()> {
        let accounts = Accounts::new(Arc::clone(&self.accounts), Population::InOrder);
        let count = u64::try_from(self.plan.accounts)?;
        let plan = LoadPlan {
            events_a_request: PREPARING_EVENTS_A_REQUEST,
            ..self.load(Pace::Closed { callers: 4 }, Ending::Events(count))?
        };
        let outcome = start(plan, writer(accounts, Changes::Fund(FUNDS)), |_, _| {})?
            .outcome()
            .await?;
        ensure!(outcome.accepted == count, "{outcome:?}");
        self.processed(count).await
    }

    /// Waits until so many records in all are processed.
    ///
    /// # Errors
    /// Nothing moves any more.
    pub async fn processed(&self, records: u64) -> Result<()> {
        until_stored(&self.deployment.database.pool, records).await?;
        Ok(())
    }

    /// Records processed so far.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn stored(&self) -> Result<u64> {
        stored(&self.deployment.database.pool).await
    }

    /// Waits until everything that is logged is on the topic.
    ///
    /// # Errors
    /// It is not within the bound.
    pub async fn all_published(&self) -> Result<()> {
        let patience = Patience::of(PUBLISHED_WITHIN);
        until("everything to be published", patience, async || {
            let waiting = self.metrics().await?.total("axs_publish_window_used");
            Ok(if waiting == 0.0 {
                Look::There(())
            } else {
                Look::NotYet(format!("{waiting} events wait"))
            })
        })
        .await
    }

    /// Starts one consumer with settings of its own, and waits until it leads every partition.
    ///
    /// # Errors
    /// It does not start, or does not lead.
    pub async fn start_consumer(&mut self, settings: &[(&str, &str)]) -> Result<()> {
        let consumer = self.deployment.spawn_consumer(settings)?;
        self.deployment.consumers.push(consumer);
        self.deployment.led_by(self.plan.partitions, 1).await
    }

    /// Ends every consumer in order.
    ///
    /// # Errors
    /// One does not drain.
    pub async fn stop_consumers(&mut self) -> Result<()> {
        for mut consumer in self.deployment.consumers.drain(..) {
            let status = consumer.drain().await?;
            ensure!(status.success(), "{} ended with {status}", consumer.name());
        }
        Ok(())
    }

    /// Ends every API process in order: what it logged is on the topic by then.
    ///
    /// # Errors
    /// One does not drain.
    pub async fn stop_apis(&mut self) -> Result<()> {
        for mut api in self.deployment.apis.drain(..) {
            let status = api.process.drain().await?;
            ensure!(
                status.success(),
                "{} ended with {status}",
                api.process.name()
            );
        }
        Ok(())
    }

    /// Ends every process in order and starts as many anew, and waits until they have preloaded
    /// what they remember.
    ///
    /// # Errors
    /// One does not drain, or does not start.
    pub async fn restart(&mut self, screen: Screen) -> Result<()> {
        self.stop_consumers().await?;
        self.stop_apis().await?;
        let consumers = self.plan.consumers.max(1);
        self.deployment.start(self.plan.apis, consumers).await?;
        let partitions = self.plan.partitions;
        self.deployment.led_by(partitions, consumers).await?;
        screen.say(&format!("{}: waiting for the preload", self.plan.name));
        let patience = Patience {
            bound: PRELOADED_WITHIN,
            pause: Duration::from_secs(1),
        };
        let mut idle_looks = 0;
        until("everything to be preloaded", patience, async || {
            let page = self.metrics().await?;
            let preloading =
                page.total("axs_accounts_preloading") + page.total("axs_balances_preloading");
            idle_looks = if preloading > 0.0 { 0 } else { idle_looks + 1 };
            Ok(if idle_looks == IDLE_LOOKS {
                Look::There(())
            } else {
                Look::NotYet(format!("{idle_looks} idle looks in a row"))
            })
        })
        .await
    }

    /// A load of requests as in the base case.
    ///
    /// # Errors
    /// There is no API process.
    pub fn load(&self, pace: Pace, ending: Ending) -> Result<LoadPlan> {
        let api = self.deployment.apis.first().context("no API process")?;
        Ok(LoadPlan {
            address: api.address,
            connections: CONNECTIONS,
            events_a_request: EVENTS_A_REQUEST,
            pace,
            ending,
            tag: NEXT_TAG.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Draws from all accounts.
    #[must_use]
    pub fn drawn(&self, population: Population) -> Accounts {
        Accounts::new(Arc::clone(&self.accounts), population)
    }

    /// Takes all log rows and entries away, so that each run begins like the first one, as those of
    /// the baselines do: what more rows cost is told by `growth`. Before, it is looked whether all
    /// of them were applied.
    ///
    /// # Errors
    /// PostgreSQL is away, or one was not applied.
    pub async fn clear_log(&self) -> Result<()> {
        all_applied(&self.deployment.database).await?;
        self.clear_undecided_log().await
    }

    /// The same where no consumer is.
    ///
    /// # Errors
    /// PostgreSQL is away.
    pub async fn clear_undecided_log(&self) -> Result<()> {
        let pool = &self.deployment.database.pool;
        pool.execute("TRUNCATE balance_change_logs, balance_change_states, ledger_entries")
            .await?;
        Ok(())
    }

    /// Submits so many events for all accounts alike fast, without measuring.
    ///
    /// # Errors
    /// A request fails.
    pub async fn submit(&self, events: u64) -> Result<LoadOutcome> {
        self.submit_for(self.drawn(Population::Uniform), events)
            .await
    }

    /// The same for these accounts.
    ///
    /// # Errors
    /// A request fails.
    pub async fn submit_for(&self, accounts: Accounts, events: u64) -> Result<LoadOutcome> {
        let plan = LoadPlan {
            events_a_request: PREPARING_EVENTS_A_REQUEST,
            ..self.load(Pace::Closed { callers: 4 }, Ending::Events(events))?
        };
        start(plan, writer(accounts, Changes::One), |_, _| {})?
            .outcome()
            .await
    }

    /// The processes whose CPU is read.
    ///
    /// # Errors
    /// A pid file can't be read.
    pub fn processes(&self) -> Result<Processes> {
        Processes::of(&self.deployment)
    }

    /// What all API processes and consumers have counted.
    ///
    /// # Errors
    /// One does not answer.
    pub async fn metrics(&self) -> Result<MetricsPage> {
        let apis = self.deployment.apis.iter().map(|api| api.process.ops());
        let consumers = self.deployment.consumers.iter().map(|it| it.ops());
        let mut sum = MetricsPage::default();
        for address in apis.chain(consumers) {
            sum = sum.plus(&MetricsPage::read(address).await?);
        }
        Ok(sum)
    }

    /// Looks once over what the runs have left, stops the processes and removes it all.
    ///
    /// # Errors
    /// An event is not final, or a process does not drain.
    pub async fn strike(mut self, all_final: bool) -> Result<()> {
        if all_final {
            all_applied(&self.deployment.database).await?;
        }
        self.deployment.stop().await?;
        self.deployment.abandon();
        Ok(())
    }
}

/// Looks whether what the stored offsets have counted is what the rows say.
///
/// # Errors
/// An event is not final, or was not applied.
pub async fn all_applied(database: &Database) -> Result<()> {
    let pending = database.pending_events().await?;
    ensure!(pending == 0, "{pending} events are not final");
    let rejected = database
        .number("SELECT count(*) FROM balance_change_states WHERE status <> 1")
        .await?;
    ensure!(rejected == 0, "{rejected} events were not applied");
    Ok(())
}

/// A writer whose keys no other writer makes.
pub fn writer(accounts: Accounts, changes: Changes) -> EventWriter {
    let nth = NEXT_SEED.fetch_add(1, Ordering::Relaxed);
    // Far apart, so that the sequences of two writers don't meet.
    EventWriter::new(accounts, changes, nth << 48 | u64::from(std::process::id()))
}

/// Starts a load whose requests nobody follows.
///
/// # Errors
/// The thread can't be started.
pub fn start_load(plan: LoadPlan, accounts: Accounts, changes: Changes) -> Result<LoadRun> {
    start(plan, writer(accounts, changes), |_, _| {})
}

/// The codes of the currencies beside the funded one.
pub fn other_currencies() -> Vec<String> {
    (0..OTHER_CURRENCIES)
        .map(|nth| format!("C{nth:02}"))
        .collect()
}

fn currencies() -> Vec<Currency> {
    let codes = other_currencies().into_iter().chain([FUNDED.to_owned()]);
    codes
        .map(|code| Currency {
            code,
            decimals: 8,
            active: true,
        })
        .collect()
}

/// Opens accounts 1 to `count` and says on which shard each is.
async fn open_accounts(client: &ApiClient, count: i64) -> Result<BTreeMap<i32, Vec<i64>>> {
    let numbers: Vec<i64> = (1..=count).collect();
    let requests = numbers.chunks(OPENED_A_REQUEST).map(|some| {
        let accounts = some.iter().map(|number| NewAccount {
            account_id: *number,
            user_id: *number,
            pool: "retail".to_owned(),
        });
        CreateAccountsRequest {
            accounts: accounts.collect(),
        }
    });
    let opened: Vec<Vec<(i32, i64)>> = stream::iter(requests.collect::<Vec<_>>())
        .map(|request| open_some(client, request))
        .buffer_unordered(OPENED_AT_ONCE)
        .try_collect()
        .await?;
    let mut shards: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for (shard, account) in opened.into_iter().flatten() {
        shards.entry(shard).or_default().push(account);
    }
    Ok(shards)
}

async fn open_some(client: &ApiClient, request: CreateAccountsRequest) -> Result<Vec<(i32, i64)>> {
    let answer = client.raw().create_accounts(request).await?.into_inner();
    let opened = answer
        .results
        .into_iter()
        .map(|result| match result.outcome {
            Some(create_account_result::Outcome::Account(account)) => {
                Ok((account.shard_id, account.account_id))
            }
            other => bail!("an account was not opened: {other:?}"),
        });
    opened.collect()
}
