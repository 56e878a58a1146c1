//! Balances read while writes run at half of the sustained rate, one account a request.

use super::Bench;
use super::run::{add_percentiles, count};
use crate::load::{Changes, Ending, LATENCY_MAX_US, Pace, Population, latencies};
use crate::report::number;
use crate::stage::{Stage, StagePlan, start_load};
use anyhow::Result;
use axs_proto::v1::{ReadConsistency, ReadSource};
use axs_tests::client::ApiClient;
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Readers at once.
const READERS: usize = 8;

/// Accounts that are read again and again.
const READ_OFTEN: usize = 1_000;

/// Events a second beside the reads, when no earlier scenario has found half of the sustained rate.
const RATE: f64 = 5_000.0;

/// The share of the sustained rate that runs beside the reads.
const SHARE: f64 = 0.5;

/// What is read, and from whom the answer should come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    CachedHit,
    CachedMiss,
    Committed,
}

impl Case {
    const ALL: [Self; 3] = [Self::CachedHit, Self::CachedMiss, Self::Committed];

    const fn name(self) -> &'static str {
        match self {
            Self::CachedHit => "cached, accounts that are read often",
            Self::CachedMiss => "cached, each account for the first time",
            Self::Committed => "committed",
        }
    }
}

/// Runs it.
pub async fn run(bench: &mut Bench) -> Result<()> {
    let stage = Stage::set(StagePlan::base("reads"), bench.screen).await?;
    let events_per_second = bench.sustained.map_or(RATE, |rate| rate * SHARE);
    let rounds = bench.effort.short_runs;
    // Accounts that nobody has read yet: a part of them for each round.
    let fresh = stage.accounts.len().saturating_sub(READ_OFTEN) / rounds;
    for round in 0..rounds {
        for case in Case::ALL {
            let time = bench.effort.case;
            let pace = Pace::Open { events_per_second };
            let plan = stage.load(pace, Ending::After(time))?;
            let load = start_load(plan, stage.drawn(Population::Uniform), Changes::One)?;
            let accounts = match case {
                Case::CachedMiss => {
                    let first = READ_OFTEN + round * fresh;
                    stage.accounts[first..first + fresh].to_vec()
                }
                Case::CachedHit | Case::Committed => stage.accounts[..READ_OFTEN].to_vec(),
            };
            let client = stage.deployment.client(0)?;
            let read = read_for(&client, accounts, case, time).await?;
            load.outcome().await?;
            add(bench, case, &read);
            bench.screen.say(&format!(
                "reads: round {} of {rounds}: {}: {} reads/s",
                round + 1,
                case.name(),
                number(read.rate())
            ));
        }
    }
    let stored = stage.stored().await?;
    stage.processed(stored).await?;
    stage.strike(false).await
}

/// What the readers saw.
struct Read {
    took: Duration,
    latencies: Histogram<u64>,
    from_cache: u64,
}

impl Read {
    fn rate(&self) -> f64 {
        count(self.latencies.len()) / self.took.as_secs_f64()
    }
}

async fn read_for(
    client: &ApiClient,
    accounts: Vec<i64>,
    case: Case,
    time: Duration,
) -> Result<Read> {
    if case == Case::CachedHit {
        client.balances(&accounts, ReadConsistency::Cached).await?;
    }
    let accounts: Arc<[i64]> = accounts.into();
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut readers: JoinSet<Result<(Histogram<u64>, u64)>> = JoinSet::new();
    for _ in 0..READERS {
        let (client, accounts, next) = (client.clone(), Arc::clone(&accounts), Arc::clone(&next));
        readers.spawn(async move {
            let (mut found, mut from_cache) = (latencies()?, 0);
            while began.elapsed() < time {
                let place = next.fetch_add(1, Ordering::Relaxed);
                if case == Case::CachedMiss && place >= accounts.len() {
                    break;
                }
                let account = accounts[place % accounts.len()];
                let begun = Instant::now();
                if read_one(&client, account, case).await? == ReadSource::Cache {
                    from_cache += 1;
                }
                let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                found.record(micros.clamp(1, LATENCY_MAX_US))?;
            }
            Ok((found, from_cache))
        });
    }
    let (mut all, mut from_cache) = (latencies()?, 0);
    while let Some(reader) = readers.join_next().await {
        let (found, cached) = reader??;
        all.add(&found)?;
        from_cache += cached;
    }
    Ok(Read {
        took: began.elapsed(),
        latencies: all,
        from_cache,
    })
}

async fn read_one(client: &ApiClient, account: i64, case: Case) -> Result<ReadSource> {
    let consistency = match case {
        Case::CachedHit | Case::CachedMiss => ReadConsistency::Cached,
        Case::Committed => ReadConsistency::Committed,
    };
    let read = client.balances(&[account], consistency).await?;
    Ok(read
        .first()
        .map_or(ReadSource::Unspecified, |it| it.source()))
}

fn add(bench: &mut Bench, case: Case, read: &Read) {
    let figures = &mut bench.figures;
    let name = case.name();
    figures.add(name, "read", "accounts/s", read.rate());
    add_percentiles(name, "read", &read.latencies, figures);
    let reads = read.latencies.len().max(1);
    let share = count(read.from_cache) / count(reads) * 100.0;
    figures.add(name, "answered by the cache", "%", share);
}
