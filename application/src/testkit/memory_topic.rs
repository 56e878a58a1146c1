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
    waiting: VecDeque<Report>,
    reported: i64,
    tries: usize,
    queue_max: usize,
    deliver_at_once: bool,
    failed: Option<String>,
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
            reported: 0,
            tries: 0,
            queue_max,
            deliver_at_once,
            failed: None,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports the deliveries of so many records, oldest first. Offsets count from 0.
    pub fn deliver(&self, records: usize) {
        for _ in 0..records {
            self.state().report_next(Ok(()));
        }
    }

    /// Reports the oldest record that waits as failed.
    pub fn fail_delivery(&self, reason: &str) {
        self.state().report_next(Err(reason.to_owned()));
    }

    /// From now on nothing can be enqueued.
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
        let report = self.waiting.pop_front().unwrap();
        let offset = Offset::try_new(self.reported).unwrap();
        self.reported += 1;
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
        state.enqueued.push(record);
        state.waiting.push_back(report);
        if state.deliver_at_once {
            state.report_next(Ok(()));
        }
        Ok(delivery)
    }

    async fn flush(&self, _timeout: Duration) -> bool {
        self.state().waiting.is_empty()
    }
}
