//! One load, from its first request to its last answer.

use super::client_loop;
use super::closed_loop;
use super::connection::Connections;
use super::open_loop;
use super::tally::{Counters, LoadOutcome, latencies};
use super::wire::EventWriter;
use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// When the next request is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many callers send their next request when the last one is answered.
    Closed {
        /// How many.
        callers: usize,
    },
    /// So many callers of the client crate, one event each.
    Client {
        /// How many.
        callers: usize,
    },
    /// Requests are due by a schedule that waits for nobody; gaps are drawn, as of many
    /// independent callers.
    Open {
        /// Of the schedule.
        events_per_second: f64,
    },
}

/// When no more requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// After so long.
    After(Duration),
    /// After so many events.
    Events(u64),
}

/// A load.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// The API process.
    pub address: SocketAddr,
    /// HTTP/2 connections.
    pub connections: usize,
    /// Events of one request.
    pub events_a_request: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// When no more are.
    pub ending: Ending,
    /// Stands before each request's number in the label of its events.
    pub tag: u64,
}

/// A load under way.
#[derive(Debug)]
pub struct LoadRun {
    /// What it has counted so far.
    pub counters: Arc<Counters>,
    thread: JoinHandle<Result<LoadOutcome>>,
}

/// What the loops need.
pub(super) struct Work {
    pub plan: LoadPlan,
    pub connections: Connections,
    pub counters: Arc<Counters>,
    pub writer: EventWriter,
    /// Told of each request's label and the time from which its latency counts.
    pub notice: Arc<dyn Fn(u64, Instant) + Send + Sync>,
}

impl LoadPlan {
    /// The label of a request's events.
    pub(super) fn label(&self, number: u64) -> String {
        format!("{}-{number}", self.tag)
    }
}

/// The number in a label of this load.
pub fn number_in(label: &[u8], tag: u64) -> Option<usize> {
    let (found, number) = std::str::from_utf8(label).ok()?.split_once('-')?;
    (found.parse() == Ok(tag)).then(|| number.parse().ok())?
}

/// Starts a load on a thread of its own. `notice` is told the number of each request, which the
/// label of its events holds, and the time from which its latency counts.
pub fn start(
    plan: LoadPlan,
    writer: EventWriter,
    notice: impl Fn(u64, Instant) + Send + Sync + 'static,
) -> Result<LoadRun> {
    let counters = Arc::new(Counters::default());
    let shared = Arc::clone(&counters);
    let thread = std::thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || run(plan, writer, shared, Arc::new(notice)))
        .context("starting the load's thread")?;
    Ok(LoadRun { counters, thread })
}

impl LoadRun {
    /// Waits until the last answer has come.
    ///
    /// # Errors
    /// A request failed, or an event was not taken.
    pub async fn outcome(self) -> Result<LoadOutcome> {
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        match joined {
            Ok(outcome) => outcome,
            Err(_) => bail!("the load's thread panicked"),
        }
    }
}

fn run(
    plan: LoadPlan,
    writer: EventWriter,
    counters: Arc<Counters>,
    notice: Arc<dyn Fn(u64, Instant) + Send + Sync>,
) -> Result<LoadOutcome> {
    let cpu_before = thread_cpu();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let shared = Arc::clone(&counters);
    let (began, logged): (Instant, Histogram<u64>) = runtime.block_on(async {
        let connections = Connections::open(plan.address, plan.connections).await?;
        let mut logged = latencies()?;
        let began = Instant::now();
        let work = Work {
            plan,
            connections,
            counters: shared,
            writer,
            notice,
        };
        match work.plan.pace {
            Pace::Closed { callers } => closed_loop::run(work, callers, &mut logged).await?,
            Pace::Client { callers } => client_loop::run(work, callers, &mut logged).await?,
            Pace::Open { events_per_second } => {
                open_loop::run(work, events_per_second, &mut logged).await?;
            }
        }
        anyhow::Ok((began, logged))
    })?;
    let ended = Instant::now();
    let untaken = counters.refused();
    ensure!(untaken == 0, "{untaken} events were not taken");
    Ok(LoadOutcome {
        began,
        ended,
        accepted: counters.accepted(),
        turned_away: counters.turned_away(),
        logged,
        cpu: thread_cpu().saturating_sub(cpu_before),
    })
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
