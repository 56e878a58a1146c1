//! The steps of the demo, in order.

use crate::options::Options;
use crate::report::{Report, Summary};
use crate::screen::Screen;
use anyhow::{Context, Result};
use axs_client::{Client, ClientSettings};
use axs_tests::cache;
use axs_tests::client::ApiClient;
use axs_tests::deployment::{Deployment, PoolShape};
use axs_tests::replay::{
    BalanceComparison, Latencies, Mismatches, OutcomeComparison, Percentiles, Submission,
    SubmitPlan, Way, compare_balances, compare_outcomes, submit_by,
};
use axs_tests::script::Script;
use axs_tests::server::KafkaKind;
use axs_tests::session::{SessionPlan, generate};
use std::time::Duration;

const POOLS: [PoolShape; 2] = [
    PoolShape {
        name: "retail",
        shards: 36,
        partitions: 9,
    },
    PoolShape {
        name: "whale",
        shards: 12,
        partitions: 3,
    },
];

const APIS: usize = 2;
const CONSUMERS: usize = 2;

/// One request in so many has an event followed by a client that keeps asking.
const SAMPLE_EVERY: usize = 10;

/// Runs everything; the report says whether something is off.
pub async fn run(options: Options) -> Result<Report> {
    let screen = Screen::new();
    screen.say(&format!(
        "generating {} events, seed {}",
        options.events, options.seed
    ));
    let script = generate(SessionPlan::new(options.events, options.seed));

    screen.say("a database, its schema, 12 partitions over the pools retail and whale");
    let builder = Deployment::builder("demo")
        .with_default_settings()
        .pools(&POOLS);
    let mut deployment = builder.prepare().await?;
    builder.lay_out(&deployment).await?;
    screen.say(&format!(
        "starting {APIS} API processes and {CONSUMERS} consumers"
    ));
    deployment.start(APIS, CONSUMERS).await?;
    screen.say("waiting until the partitions are spread over the consumers");
    let partitions = POOLS.iter().map(|pool| pool.partitions).sum();
    deployment.led_by(partitions, CONSUMERS).await?;
    screen.say(&format!(
        "registering {} currencies, opening {} accounts",
        script.currencies.len(),
        script.accounts.len()
    ));
    let clients = clients(&deployment)?;
    clients[0].register(&script.currencies).await?;
    clients[0].open(&script.accounts).await?;

    let ran = work(&screen, &deployment, &clients, &script, options).await?;
    let report = judge(&screen, &deployment, &clients, &script, options, ran).await?;
    screen.say("draining the processes");
    if report.is_sound() {
        // Nothing is left to look at, so what was made is removed.
        deployment.stop().await?;
        deployment.abandon();
    } else {
        // Dropped unfinished, the deployment shows the ends of its logs and says where they are.
        drop(deployment);
    }
    Ok(report)
}

fn clients(deployment: &Deployment) -> Result<Vec<ApiClient>> {
    (0..APIS).map(|index| deployment.client(index)).collect()
}

/// As a program outside would: by the client crate, one client for each API process.
fn ways(deployment: &Deployment, clients: &[ApiClient]) -> Result<Vec<Way>> {
    let apis = deployment.apis.iter().zip(clients);
    apis.map(|(api, reader)| {
        let address = format!("http://{}", api.address);
        let client = Client::connect_lazy(address, ClientSettings::default())?;
        Ok(Way::Calls(client, reader.clone()))
    })
    .collect()
}

/// What the measured part left.
struct Ran {
    submission: Submission,
    seconds: Duration,
}

/// The measured part: from the first submit to the last final result.
async fn work(
    screen: &Screen,
    deployment: &Deployment,
    clients: &[ApiClient],
    script: &Script,
    options: Options,
) -> Result<Ran> {
    let plan = SubmitPlan {
        streams: options.streams,
        sample_every: SAMPLE_EVERY,
        ..SubmitPlan::default()
    };
    screen.say(&format!(
        "submitting {} events: {} streams, {} events at a time",
        script.items.len(),
        plan.streams,
        plan.events_a_request
    ));
    let bar = screen.bar(script.items.len(), "submitted");
    let ways = ways(deployment, clients)?;
    let mut submission = submit_by(&ways, script, plan, &|count| bar.inc(count)).await?;
    bar.finish_and_clear();
    for way in &ways {
        if let Way::Calls(client, _) = way {
            submission.turned_away += usize::try_from(client.activity().turned_away)?;
        }
    }
    screen.say(&format!(
        "all answered after {:.2} s; waiting until all are final",
        submission.took.as_secs_f64()
    ));
    deployment.all_final().await?;
    let seconds = submission.began.elapsed();
    Ok(Ran {
        submission,
        seconds,
    })
}

/// Everything compared.
async fn judge(
    screen: &Screen,
    deployment: &Deployment,
    clients: &[ApiClient],
    script: &Script,
    options: Options,
    ran: Ran,
) -> Result<Report> {
    let Ran {
        mut submission,
        seconds,
    } = ran;
    let mut mismatches: Mismatches = std::mem::take(&mut submission.mismatches);
    screen.say("looking up every accepted event");
    let bar = screen.bar(submission.log_ids.len(), "looked up");
    let outcomes = compare_outcomes(clients, script, &submission, &|n| bar.inc(n)).await?;
    bar.finish_and_clear();
    screen.say("reading every balance, as committed and as cached");
    let balances = compare_balances(&clients[1], &script.model).await?;
    screen.say("bootstrap verify");
    let verify = deployment.run(&["verify"]).await?;
    let dead_letters = deployment.database.dead_letters().await?;
    let seen = Percentiles::of(sampled(std::mem::take(&mut submission.latencies)).await?);

    let decided = Percentiles::of(outcomes.sent_to_decided.clone());

    mismatches.merge(outcomes.mismatches.clone());
    mismatches.merge(balances.mismatches.clone());
    let facts = facts(deployment, &submission, &balances).await?;
    Ok(Report {
        summary: summary(
            script,
            options,
            deployment,
            &submission,
            &outcomes,
            &balances,
            Figures {
                mismatches: mismatches.count,
                dead_letters: dead_letters.len(),
                seconds,
                seen,
                decided,
            },
        ),
        mismatches,
        seen,
        decided,
        verify: (verify.code == Some(0), verify.to_string()),
        facts,
    })
}

async fn sampled(streams: Vec<Latencies>) -> Result<Vec<Duration>> {
    let mut values = Vec::new();
    for stream in streams {
        values.extend(stream.values().await?);
    }
    Ok(values)
}

struct Figures {
    mismatches: u64,
    dead_letters: usize,
    seconds: Duration,
    seen: Option<Percentiles>,
    decided: Option<Percentiles>,
}

fn summary(
    script: &Script,
    options: Options,
    deployment: &Deployment,
    submission: &Submission,
    outcomes: &OutcomeComparison,
    balances: &BalanceComparison,
    figures: Figures,
) -> Summary {
    let millis = |duration: Duration| (duration.as_secs_f64() * 1e5).round() / 1e2;
    let seconds = figures.seconds.as_secs_f64();
    let results = outcomes.applied + outcomes.rejected;
    Summary {
        submitted: count(script.items.len()),
        duplicates: submission.duplicates,
        refused: submission.refused,
        applied: outcomes.applied,
        rejected: outcomes.rejected,
        dead_letters: count(figures.dead_letters),
        balances_checked: balances.checked,
        outcomes_checked: results,
        mismatches: figures.mismatches,
        seconds: (seconds * 1e3).round() / 1e3,
        events_per_second: rate(results, seconds),
        p50_ms: figures.seen.map(|seen| millis(seen.p50)),
        p99_ms: figures.seen.map(|seen| millis(seen.p99)),
        decided_p50_ms: figures.decided.map(|decided| millis(decided.p50)),
        decided_p99_ms: figures.decided.map(|decided| millis(decided.p99)),
        kafka: match deployment.servers.kafka {
            KafkaKind::Apache => "apache",
            KafkaKind::Mock => "mock",
        },
        seed: options.seed,
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Whole events a second.
fn rate(results: u64, seconds: f64) -> f64 {
    let results = f64::from(u32::try_from(results).unwrap_or(u32::MAX));
    (results / seconds).round()
}

/// What stands beside the counts: read back from the servers, not taken from our own settings.
async fn facts(
    deployment: &Deployment,
    submission: &Submission,
    balances: &BalanceComparison,
) -> Result<Vec<(&'static str, String)>> {
    let mut postgres = Vec::new();
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        let value = deployment.database.server_setting(name).await?;
        postgres.push(format!("{name}={value}"));
    }
    let skew = deployment.database.clock_skew().await?;
    let policy = cache::server_setting(&deployment.servers.redis, "maxmemory-policy")
        .await
        .context("Redis")?;
    let acks = match deployment.topic.first_batch_is_idempotent(0)? {
        Some(true) => "acks=all: the log's first batch is an idempotent producer's",
        Some(false) => "NOT idempotent: acks=all is not assured",
        None => "not read back: the broker's files can't be seen from here",
    };
    Ok(vec![
        ("PostgreSQL", postgres.join(" ")),
        ("  clock ahead of ours by", format!("{:.2} ms", skew * 1e3)),
        ("Kafka", acks.to_owned()),
        ("Redis", format!("maxmemory-policy={policy}")),
        (
            "all answered after",
            format!("{:.2} s", submission.took.as_secs_f64()),
        ),
        (
            "events turned away, sent again",
            submission.turned_away.to_string(),
        ),
        (
            "cache caught up after",
            format!("{:.2} s", balances.cache_took.as_secs_f64()),
        ),
        (
            "accounts read from the cache",
            balances.from_cache.to_string(),
        ),
    ])
}
