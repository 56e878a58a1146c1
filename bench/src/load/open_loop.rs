//! Requests sent by a schedule, whatever became of the earlier ones.
//!
//! Latency counts from the time at which a request was due. When it is sent late, because the
//! server has not taken the earlier ones, that is part of its latency (no coordinated omission).

use super::dice::Dice;
use super::run::{Ending, Work};
use super::tally::LATENCY_MAX_US;
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Requests that may be due and not sent yet. With more the load has failed, and says so.
const DUE_MAX: usize = 100_000;

pub(super) async fn run(
    mut work: Work,
    events_per_second: f64,
    logged: &mut Histogram<u64>,
) -> Result<()> {
    let (due_in, mut due_out) = mpsc::channel(DUE_MAX);
    let size = f64::from(u32::try_from(work.plan.events_a_request)?);
    let schedule = Schedule {
        gap_s: size / events_per_second,
        ending: work.plan.ending,
        events_a_request: u64::try_from(work.plan.events_a_request)?,
        counters: Arc::clone(&work.counters),
    };
    // The runtime's own timer rounds up to whole milliseconds: the pacer sleeps by itself.
    let pacer = std::thread::Builder::new()
        .name("pacer".to_owned())
        .spawn(move || schedule.keep(&due_in))?;
    let in_flight = Arc::new(Semaphore::new(work.connections.requests_max()));
    let mut requests: JoinSet<Result<u64>> = JoinSet::new();
    let mut number = 0u64;
    while let Some(due) = due_out.recv().await {
        let permit = Arc::clone(&in_flight).acquire_owned().await?;
        let request = work
            .writer
            .request(work.plan.events_a_request, &work.plan.label(number));
        (work.notice)(number, due);
        let mut caller = work
            .connections
            .caller(usize::try_from(number).unwrap_or_default());
        number += 1;
        let counters = Arc::clone(&work.counters);
        requests.spawn(async move {
            let submitted = caller.submit(request).await;
            drop(permit);
            let (answer, turned_away) = submitted
                .inspect_err(|_| counters.stop())
                .context("submitting")?;
            counters.add(answer, turned_away);
            Ok(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX))
        });
        while let Some(ended) = requests.try_join_next() {
            logged.record(ended??.clamp(1, LATENCY_MAX_US))?;
        }
    }
    while let Some(ended) = requests.join_next().await {
        logged.record(ended??.clamp(1, LATENCY_MAX_US))?;
    }
    let kept = pacer.join().unwrap_or(false);
    ensure!(kept, "more than {DUE_MAX} requests were due and not sent");
    Ok(())
}

struct Schedule {
    /// The mean time between two requests.
    gap_s: f64,
    ending: Ending,
    events_a_request: u64,
    counters: Arc<super::tally::Counters>,
}

impl Schedule {
    /// Says when each request is due, at that time; false when nobody keeps up.
    fn keep(&self, due_in: &mpsc::Sender<Instant>) -> bool {
        let mut dice = Dice::new(0x0a75);
        let began = Instant::now();
        let mut at_s = 0.0;
        for request in 0u64.. {
            // Exponential gaps: what many callers make who know nothing of each other.
            at_s -= self.gap_s * (1.0 - dice.fraction()).ln();
            let ended = match self.ending {
                Ending::After(time) => at_s >= time.as_secs_f64(),
                Ending::Events(count) => request * self.events_a_request >= count,
            };
            if ended || self.counters.stopped() {
                return true;
            }
            let due = began + Duration::from_secs_f64(at_s);
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            if due_in.try_send(due).is_err() {
                return false;
            }
        }
        true
    }
}
