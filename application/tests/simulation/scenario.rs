//! One run: storm, healing, quiet, verdict.

use crate::broker::{Broker, ResultLog};
use crate::cache::CacheServer;
use crate::checker;
use crate::client::Client;
use crate::fleet::{Fleet, Servers};
use crate::notebook::Notebook;
use crate::report::Tally;
use crate::store::{StoreBreaks, StoreServer};
use crate::trace::Lines;
use crate::trouble::{heal, make_trouble};
use crate::weather::Rates;
use crate::world::{World, Wrong};
use axs_application::testkit::{account, account_id, amount, code, currency, stored_layout};
use axs_application::usecase::ack_level::AckLevel;
use axs_domain::log_status::LogStatus;
use axs_domain::rule::{BalanceRuleSet, CreditLimit, NonNegative};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long, in virtual time, clients may need for their answers once all is well.
const ANSWERS_MAX: Duration = Duration::from_secs(60);
/// How long everything may take to become final after the last answer.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// How long late writes of caches may still be on their way.
const LATE_MAX: Duration = Duration::from_secs(10);
/// Accounts that are open.
const ACCOUNTS: i64 = 6;

/// What a run came to.
pub struct Run {
    pub seed: u64,
    pub wrongs: Vec<Wrong>,
    pub tally: Tally,
    /// Lines and hash of the trace.
    pub mark: (u64, u64),
    pub lines: Vec<String>,
}

/// What a run is told beside its seed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    pub breaks: StoreBreaks,
    pub lines: Lines,
    /// Makes some troubles more probable than the seed has drawn them.
    pub worse: Option<fn(&mut Rates)>,
}

/// Runs one seed, on a runtime of its own: one thread, time that moves only when nobody has
/// anything to do.
pub fn run(seed: u64, told: Told) -> Run {
    axs_application::testkit::seed_chance(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async move {
        let world = Arc::new(World::new(seed, &told));
        play(&world, told.breaks).await;
        let tally = Tally::default();
        tally.take_in(&world.tally);
        Run {
            seed,
            wrongs: world.wrongs(),
            tally,
            mark: world.trace.mark(),
            lines: world.trace.lines(),
        }
    })
}

fn servers(world: &Arc<World>, breaks: StoreBreaks) -> Arc<Servers> {
    let layout = stored_layout();
    let broker = Broker::new(world, layout.layout.partitions());
    let results = ResultLog::new(Broker::new(world, layout.layout.partitions()));
    let store = StoreServer::new(world, layout, breaks);
    {
        let mut state = store.state();
        for id in 1..=ACCOUNTS {
            state.accounts.insert(account_id(id), account(id));
        }
        for (text, decimals) in [("USD", 2), ("BTC", 8), ("FEE", 4)] {
            state
                .currencies
                .insert(code(text), currency(text, decimals));
        }
    }
    let cache = CacheServer::new(&store);
    let credit = CreditLimit::new([(account_id(1), code("USD"), amount("50"))]);
    let rules = BalanceRuleSet::try_new(vec![Arc::new(NonNegative), Arc::new(credit)]).unwrap();
    Servers::new(store, broker, cache, results, rules)
}

async fn play(world: &Arc<World>, breaks: StoreBreaks) {
    let servers = servers(world, breaks);
    let apis = usize::try_from(world.pick(1..3)).unwrap();
    let consumers = usize::try_from(world.pick(1..4)).unwrap();
    let fleet = Fleet::new(Arc::clone(&servers), apis, consumers);
    let notebook = Arc::new(Notebook::default());
    let mut clients = start_clients(world, &fleet, &notebook);

    make_trouble(&fleet, world.millis(6_000..16_000)).await;
    heal(&fleet);
    let began = world.elapsed();

    let answered = async { while clients.join_next().await.is_some() {} };
    if !with_repairs(&fleet, ANSWERS_MAX, answered).await {
        let what = "clients still wait for answers".to_owned();
        world.wrong("I12", what);
    }
    let settled = settle_what_is_in_doubt(&fleet, &notebook);
    if !with_repairs(&fleet, ANSWERS_MAX, settled).await {
        let what = "answers in doubt are not settled".to_owned();
        world.wrong("I11", what);
    }
    let last_answer = world.elapsed();
    if !with_repairs(&fleet, QUIET_MAX, quiet(&servers)).await {
        world.wrong("I12", not_final(&servers));
    }
    let took = world.elapsed() - last_answer;
    let millis = u64::try_from(took.as_millis()).unwrap();
    world
        .tally
        .raise("longest: from the last answer to all final, ms", millis);
    let since = u64::try_from((world.elapsed() - began).as_millis()).unwrap();
    world
        .tally
        .raise("longest: from healing to all final, ms", since);
    tokio::time::sleep(LATE_MAX).await;
    checker::check(&servers, &notebook);
}

fn start_clients(world: &Arc<World>, fleet: &Arc<Fleet>, notebook: &Arc<Notebook>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let hot = world
        .happens(0.3)
        .then(|| world.pick_signed(1..ACCOUNTS + 1));
    let hurry = world.happens(0.4);
    for number in 0..world.pick(2..5) {
        let mut accounts: Vec<i64> = (1..=ACCOUNTS).collect();
        if let Some(hot) = hot {
            // Nine of ten events are those of one account.
            accounts.resize(60, hot);
        }
        let client = Client {
            name: format!("c{number}"),
            fleet: Arc::clone(fleet),
            notebook: Arc::clone(notebook),
            accounts,
            pause_millis_max: if hurry { 40 } else { 700 },
            requests: usize::try_from(world.pick(8..24)).unwrap(),
        };
        clients.spawn(client.run());
    }
    clients
}

/// Waits, and meanwhile restarts what says that it must be restarted.
async fn with_repairs(fleet: &Fleet, how_long: Duration, work: impl Future<Output = ()>) -> bool {
    let repairs = async {
        loop {
            fleet.replace_the_broken();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        biased;
        done = timeout(how_long, work) => done.is_ok(),
        () = repairs => false,
    }
}

async fn settle_what_is_in_doubt(fleet: &Arc<Fleet>, notebook: &Arc<Notebook>) {
    let client = Client {
        name: "settler".to_owned(),
        fleet: Arc::clone(fleet),
        notebook: Arc::clone(notebook),
        accounts: Vec::new(),
        pause_millis_max: 1,
        requests: 0,
    };
    for events in notebook.take_in_doubt() {
        let ack = AckLevel::Logged;
        let settled = client.send_until_answered(&events, ack, 0, 100).await;
        if settled {
            let tally = &fleet.servers.world.tally;
            tally.count("ambiguous answers settled by the same key");
        } else {
            let what = "sending the same key again settles nothing".to_owned();
            fleet.servers.world.wrong("I11", what);
        }
    }
}

/// Waits until every event is final, every offset stored, and every result out.
async fn quiet(servers: &Servers) {
    loop {
        {
            let state = servers.store.state();
            let open = state.rows.values().any(|r| r.status == LogStatus::Init);
            let behind = state.leaders.iter().any(|(partition, leader)| {
                let end = servers.broker.end(*partition);
                leader.stored_offset != end || leader.results_offset != end
            });
            if !open && !behind && state.open.is_empty() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn not_final(servers: &Servers) -> String {
    let state = servers.store.state();
    let open = state.rows.values().filter(|r| r.status == LogStatus::Init);
    let open: Vec<_> = open.map(|r| r.key.idempotency_key.as_str()).collect();
    let offsets: Vec<_> = state
        .leaders
        .iter()
        .map(|(p, leader)| {
            format!(
                "{p}: {} (results {}) of {}",
                leader.stored_offset,
                leader.results_offset,
                servers.broker.end(*p)
            )
        })
        .collect();
    format!("not final: {open:?}, offsets {offsets:?}")
}
