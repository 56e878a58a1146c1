//! An events topic in memory, whose deliveries a test decides.

use crate::port::event_publisher::{Delivery, EventPublisher, OutboundRecord, PublishError};
use async_trait::async_trait;
use axs_domain::id::Offset;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

type Report = oneshot::Sender<Result<Option<Offset>, PublishError>>;

/// Takes records in order and reports a delivery when it is told to, or at once.
#[derive(Debug)]
pub struct MemoryTopic(Mutex<State>);

#[derive(Debug)]
struct State {
    enqueued: Vec<OutboundRecord>,
    waiting: VecDeque<(OutboundRecord, Report)>,
    landed: Vec<OutboundRecord>,
    given_up: Vec<OutboundRecord>,
    lost_one: bool,
    tries: usize,
    queue_max: usize,
    deliver_at_once: bool,
    failed: Option<String>,
    renewals: usize,
    renewals_to_refuse: usize,
}

impl MemoryTopic {
    /// A topic that delivers at once.
    #[must_use]
    pub fn delivering() -> Self {
        Self::new(usize::MAX, true)
    }

    /// A topic that delivers only by [`MemoryTopic::deliver`], with a queue of so many records.
    #[must_use]
    pub fn holding(queue_max: usize) -> Self {
        Self::new(queue_max, false)
    }

    fn new(queue_max: usize, deliver_at_once: bool) -> Self {
        Self(Mutex::new(State {
            enqueued: Vec::new(),
            waiting: VecDeque::new(),
            landed: Vec::new(),
            given_up: Vec::new(),
            lost_one: false,
            tries: 0,
            queue_max,
            deliver_at_once,
            failed: None,
            renewals: 0,
            renewals_to_refuse: 0,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports the deliveries of so many records, oldest first. Offsets count from 0.
    pub fn deliver(&self, records: usize) {
        for _ in 0..records {
            let mut state = self.state();
            let behind_a_lost_one = || Err("out of sequence".to_owned());
            let outcome = if state.lost_one {
                behind_a_lost_one()
            } else {
                Ok(())
            };
            state.report_next(outcome);
        }
    }

    /// Reports the oldest record that waits as failed. Until the renewal nothing more is taken, and
    /// nothing behind it lands.
    pub fn fail_delivery(&self, reason: &str) {
        let mut state = self.state();
        state.failed = Some(reason.to_owned());
        state.lost_one = true;
        state.report_next(Err(reason.to_owned()));
    }

    /// So many of the records that the last renewal gave up land after all, oldest first.
    pub fn land_late(&self, records: usize) {
        let mut state = self.state();
        let records = records.min(state.given_up.len());
        let late: Vec<_> = state.given_up.drain(..records).collect();
        state.landed.extend(late);
    }

    /// So many renewals fail before one succeeds.
    pub fn refuse_renewals(&self, renewals: usize) {
        self.state().renewals_to_refuse = renewals;
    }

    /// How often it was renewed, also in vain.
    #[must_use]
    pub fn renewals(&self) -> usize {
        self.state().renewals
    }

    /// How many records wait for their report.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// What landed, in order, copies included.
    #[must_use]
    pub fn landed(&self) -> Vec<OutboundRecord> {
        self.state().landed.clone()
    }

    /// From now on nothing can be enqueued, until the renewal.
    pub fn fail(&self, reason: &str) {
        self.state().failed = Some(reason.to_owned());
    }

    /// What was enqueued, in order.
    #[must_use]
    pub fn enqueued(&self) -> Vec<OutboundRecord> {
        self.state().enqueued.clone()
    }

    /// How often something was to be enqueued, also in vain.
    #[must_use]
    pub fn tries(&self) -> usize {
        self.state().tries
    }
}

impl State {
    fn report_next(&mut self, outcome: Result<(), String>) {
        let (record, report) = self.waiting.pop_front().unwrap();
        let offset = Offset::try_new(i64::try_from(self.landed.len()).unwrap()).unwrap();
        if outcome.is_ok() {
            self.landed.push(record);
        }
        let _ = report.send(outcome.map(|()| Some(offset)).map_err(PublishError::Failed));
    }
}

#[async_trait]
impl EventPublisher for MemoryTopic {
    fn enqueue(&self, record: OutboundRecord) -> Result<Delivery, PublishError> {
        let mut state = self.state();
        state.tries += 1;
        if let Some(reason) = &state.failed {
            return Err(PublishError::Failed(reason.clone()));
        }
        if state.waiting.len() >= state.queue_max {
            return Err(PublishError::QueueFull);
        }
        let (report, delivery) = Delivery::pending();
        state.enqueued.push(record.clone());
        state.waiting.push_back((record, report));
        if state.deliver_at_once {
            state.report_next(Ok(()));
        }
        Ok(delivery)
    }

    async fn renew(&self) -> Result<(), PublishError> {
        let mut state = self.state();
        state.renewals += 1;
        // Behind a record that was refused for good nothing lands.
        let may_land = !state.lost_one;
        let waiting = state.waiting.iter().filter(|_| may_land);
        let given_up: Vec<_> = waiting.map(|(record, _)| record.clone()).collect();
        if !given_up.is_empty() || !may_land {
            state.given_up = given_up;
        }
        while !state.waiting.is_empty() {
            state.report_next(Err("purged".to_owned()));
        }
        if state.renewals_to_refuse > 0 {
            state.renewals_to_refuse -= 1;
            return Err(PublishError::Failed("no producer".to_owned()));
        }
        state.failed = None;
        state.lost_one = false;
        Ok(())
    }

    async fn flush(&self, _timeout: Duration) -> bool {
        self.state().waiting.is_empty()
    }
}
