//! Callers of the client crate, as an outside program has them: one call submits one event.

use super::answer::Answer;
use super::run::{Ending, Work};
use super::tally::LATENCY_MAX_US;
use anyhow::{Context, Result};
use axs_client::{Client, ClientSettings};
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
    sent: u64,
}

pub(super) async fn run(work: Work, callers: usize, logged: &mut Histogram<u64>) -> Result<()> {
    let address = format!("http://{}", work.plan.address);
    let client = Client::connect_lazy(address, ClientSettings::default())?;
    let shared = Rc::new(RefCell::new(Shared {
        work,
        logged: logged.clone(),
        began: Instant::now(),
        sent: 0,
    }));
    let local = LocalSet::new();
    let tasks: Vec<_> = (0..callers)
        .map(|_| local.spawn_local(call(client.clone(), Rc::clone(&shared))))
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

async fn call(client: Client, shared: Rc<RefCell<Shared>>) -> Result<()> {
    loop {
        let (event, sent_at) = {
            let mut shared = shared.borrow_mut();
            if shared.is_over() {
                return Ok(());
            }
            let number = shared.sent;
            shared.sent += 1;
            let label = shared.work.plan.label(number);
            let event = shared.work.writer.event(&label);
            let sent_at = Instant::now();
            (shared.work.notice)(number, sent_at);
            (event, sent_at)
        };
        let submitted = client.submit(event).await;
        let mut shared = shared.borrow_mut();
        let answered = submitted
            .inspect_err(|_| shared.work.counters.stop())
            .context("submitting")?;
        let answer = match answered {
            axs_client::Answer::Accepted(_) => Answer {
                accepted: 1,
                ..Answer::default()
            },
            axs_client::Answer::Refused(_) => Answer {
                refused: 1,
                ..Answer::default()
            },
        };
        shared.work.counters.add(answer, 0);
        let took = u64::try_from(sent_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        shared.logged.record(took.clamp(1, LATENCY_MAX_US))?;
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        let ended = match self.work.plan.ending {
            Ending::After(time) => self.began.elapsed() >= time,
            Ending::Events(count) => self.sent >= count,
        };
        ended || self.work.counters.stopped()
    }
}
