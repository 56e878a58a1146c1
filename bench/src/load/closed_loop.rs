//! Callers that send when their last request is answered.

use super::run::{Ending, Work};
use super::tally::LATENCY_MAX_US;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;
use tokio::task::LocalSet;

/// What the callers share; they all live on one thread.
struct Shared {
    work: Work,
    logged: Histogram<u64>,
    began: Instant,
    /// Events sent so far.
    sent: u64,
    requests: u64,
}

pub(super) async fn run(work: Work, callers: usize, logged: &mut Histogram<u64>) -> Result<()> {
    let shared = Rc::new(RefCell::new(Shared {
        work,
        logged: logged.clone(),
        began: Instant::now(),
        sent: 0,
        requests: 0,
    }));
    let local = LocalSet::new();
    let tasks: Vec<_> = (0..callers)
        .map(|nth| local.spawn_local(call(nth, Rc::clone(&shared))))
        .collect();
    let ended = local
        .run_until(async {
            for task in tasks {
                task.await??;
            }
            anyhow::Ok(())
        })
        .await;
    logged.add(&shared.borrow().logged)?;
    ended
}

async fn call(nth: usize, shared: Rc<RefCell<Shared>>) -> Result<()> {
    let mut caller = shared.borrow().work.connections.caller(nth);
    loop {
        let (request, sent_at) = {
            let mut shared = shared.borrow_mut();
            let Some(events) = shared.next_events() else {
                return Ok(());
            };
            let number = shared.requests;
            shared.requests += 1;
            let label = shared.work.plan.label(number);
            let request = shared.work.writer.request(events, &label);
            let sent_at = Instant::now();
            (shared.work.notice)(number, sent_at);
            (request, sent_at)
        };
        let submitted = caller.submit(request).await;
        let mut shared = shared.borrow_mut();
        let (answer, turned_away) = submitted
            .inspect_err(|_| shared.work.counters.stop())
            .context("submitting")?;
        shared.work.counters.add(answer, turned_away);
        let took = u64::try_from(sent_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        shared.logged.record(took.clamp(1, LATENCY_MAX_US))?;
    }
}

impl Shared {
    /// How many events the next request holds, or `None` at the end.
    fn next_events(&mut self) -> Option<usize> {
        let size = self.work.plan.events_a_request;
        let events = match self.work.plan.ending {
            Ending::After(time) => (self.began.elapsed() < time).then_some(size)?,
            Ending::Events(count) => {
                let left = count.saturating_sub(self.sent);
                size.min(usize::try_from(left).unwrap_or(usize::MAX))
            }
        };
        if events == 0 || self.work.counters.stopped() {
            return None;
        }
        self.sent += u64::try_from(events).unwrap_or_default();
        Some(events)
    }
}
