//! The one task of a process that hands events to the producer.

use super::EventToPublish;
use super::health_board::HealthBoard;
use super::in_flight::{InFlight, Landed};
use super::position_notes::PositionSink;
use super::waiting::{Queued, Turn, Waiting};
use super::window::PublishWindow;
use crate::port::change_log::PublishedPosition;
use crate::port::event_publisher::{EventPublisher, PublishError, UNREPORTED_MAX};
use crate::usecase::backlog::Backlog;
use crate::usecase::backoff::Backoff;
use axs_domain::id::{Offset, PartitionId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Calls of `publish` taken from the intake at a time.
const TAKEN_AT_ONCE_MAX: usize = 16;

/// Events of one partition handed over at a time: what travels in one request to its broker.
const HANDED_OVER_AT_ONCE_MAX: usize = 2_000;

/// After a full queue the same record is tried again at the next delivery, or after this time: the
/// queue may be full of what is not ours to wait for.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(20);

/// The pause before the first renewal of a failed producer.
const RENEWAL_PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause between two renewals. There are as many as it takes: what waits holds places
/// of the window, so nothing grows meanwhile.
const RENEWAL_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Takes events in order, enqueues them in order, and settles each at its delivery report.
///
/// An event stays here until its delivery: what a failed producer gives back is enqueued again, in
/// its old turn, before anything of its partition that was taken later.
///
/// While [`UNREPORTED_MAX`] events of a partition or more are with the producer, the later ones
/// wait here: it could not send them anyway. They travel together at the next report.
pub(super) struct PublishLoop {
    publisher: Arc<dyn EventPublisher>,
    window: Arc<PublishWindow>,
    intake: mpsc::UnboundedReceiver<Vec<EventToPublish>>,
    positions: PositionSink,
    backlog: Arc<dyn Backlog>,
    health: Arc<HealthBoard>,
    closing: CancellationToken,
    turn_next: Turn,
    /// Taken, and not with the producer: not yet, or not any more.
    waiting: Waiting,
    in_flight: InFlight,
    /// Why the producer must be renewed before anything more is handed to it.
    failure: Option<String>,
    /// The last turn that the last renewal repeats, and how many are not delivered up to it.
    repeating: Option<(Turn, usize)>,
    backoff: Backoff,
}

impl PublishLoop {
    pub(super) fn new(
        publisher: Arc<dyn EventPublisher>,
        window: Arc<PublishWindow>,
        intake: mpsc::UnboundedReceiver<Vec<EventToPublish>>,
        positions: PositionSink,
        backlog: Arc<dyn Backlog>,
        health: Arc<HealthBoard>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            publisher,
            window,
            intake,
            positions,
            backlog,
            health,
            closing,
            turn_next: 0,
            waiting: Waiting::default(),
            in_flight: InFlight::default(),
            failure: None,
            repeating: None,
            backoff: renewal_backoff(),
        }
    }

    /// Runs until the intake is closed and everything taken from it is delivered.
    pub(super) async fn run(mut self) {
        let closing = self.closing.clone();
        let mut taken = Vec::with_capacity(TAKEN_AT_ONCE_MAX);
        loop {
            if self.failure.is_some() {
                self.renew().await;
            }
            tokio::select! {
                // Reports first: what a failed one says must be known before the next event is
                // handed over.
                biased;
                landed = self.in_flight.landed() => {
                    self.settle(landed);
                    self.hand_over().await;
                }
                () = closing.cancelled(), if !self.intake.is_closed() => self.intake.close(),
                // Not while the producer fails: what waits must come before it, and holds places
                // of the window there as well as here.
                calls = self.intake.recv_many(&mut taken, TAKEN_AT_ONCE_MAX),
                    if self.failure.is_none() =>
                {
                    if calls == 0 {
                        break;
                    }
                    for event in taken.drain(..).flatten() {
                        let turn = self.turn_next;
                        self.turn_next += 1;
                        self.waiting.put(Queued { turn, event });
                    }
                    self.hand_over().await;
                }
                () = std::future::ready(()), if self.failure.is_some() => {}
            }
        }
        while !self.in_flight.is_empty() || !self.waiting.is_empty() {
            if self.failure.is_some() {
                self.renew().await;
            } else {
                if !self.in_flight.is_empty() {
                    let landed = self.in_flight.landed().await;
                    self.settle(landed);
                }
                self.hand_over().await;
            }
        }
    }

    /// Enqueues what waits and may go, each event of a partition before the next one of it is
    /// looked at, however often the queue is full: order per partition is the order of this loop.
    /// Ends early when the producer fails.
    async fn hand_over(&mut self) {
        // Round again: while one partition waited for room, all reports of another may have come.
        while self.failure.is_none() {
            let mut ready = self.waiting.partitions();
            ready.retain(|partition| self.in_flight.of(*partition) < UNREPORTED_MAX);
            if ready.is_empty() {
                return;
            }
            for partition in ready {
                self.hand_over_of(partition).await;
            }
        }
    }

    async fn hand_over_of(&mut self, partition: PartitionId) {
        let mut left = HANDED_OVER_AT_ONCE_MAX;
        while left > 0
            && self.failure.is_none()
            && let Some(queued) = self.waiting.next_of(partition)
        {
            match self.publisher.enqueue(queued.event.record.clone()) {
                Ok(delivery) => {
                    self.in_flight.push(queued, delivery);
                    left -= 1;
                }
                Err(refused) => {
                    self.waiting.put(queued);
                    match refused {
                        PublishError::QueueFull => self.wait_for_room().await,
                        PublishError::Failed(reason) => self.fail(reason),
                    }
                }
            }
        }
    }

    async fn wait_for_room(&mut self) {
        metrics::counter!("axs_publish_queue_full_total").increment(1);
        tokio::select! {
            biased;
            landed = self.in_flight.landed() => self.settle(landed),
            () = sleep(QUEUE_FULL_PAUSE) => {}
        }
    }

    /// Settles events whose reports came together, those of a partition side by side.
    fn settle(&mut self, landed: Vec<Landed>) {
        let mut newest = None;
        for Landed { queued, report } in landed {
            let Queued { turn, event } = queued;
            match report {
                Ok(offset) => {
                    self.note_repeated(turn);
                    if let Some(waiter) = event.waiter {
                        // A waiter whose time is over is gone; its event is published all the same.
                        let _ = waiter.send(());
                    }
                    // The position is a hint: without one the row only says less until it is final.
                    if let Some(offset) = offset {
                        let partition = event.record.partition;
                        self.note_newest(&mut newest, partition, offset);
                        self.positions.put(PublishedPosition {
                            key: event.key,
                            partition,
                            offset,
                        });
                    }
                    drop(event.place);
                }
                Err(error) => {
                    self.waiting.put(Queued { turn, event });
                    self.fail(error.to_string());
                }
            }
        }
        if let Some((partition, offset)) = newest {
            self.backlog.note_published(partition, offset);
        }
        self.window.report();
    }

    /// Keeps the newest offset of the partition that is settled, and tells the one before it.
    fn note_newest(
        &self,
        newest: &mut Option<(PartitionId, Offset)>,
        partition: PartitionId,
        offset: Offset,
    ) {
        *newest = match *newest {
            Some((same, before)) if same == partition => Some((same, before.max(offset))),
            before => {
                if let Some((partition, offset)) = before {
                    self.backlog.note_published(partition, offset);
                }
                Some((partition, offset))
            }
        };
    }

    fn fail(&mut self, reason: String) {
        if self.failure.is_none() {
            tracing::warn!(reason, "publishing failed; it is renewed");
            self.health.renewing(&reason);
            self.failure = Some(reason);
        }
    }

    /// One try to go on with a fresh producer: everything that the failed one did not deliver is
    /// collected first, and then enqueued again in its turn.
    async fn renew(&mut self) {
        self.backoff.pause().await;
        metrics::counter!("axs_publish_renewals_total").increment(1);
        if let Err(error) = self.publisher.renew().await {
            tracing::warn!(%error, tries = self.backoff.tries(), "publishing was not renewed");
            self.health.renewing(&error.to_string());
            return;
        }
        // All reports of the failed producer are in. Only now is it known what is left, and that
        // nothing of it is handed over before its predecessors.
        while !self.in_flight.is_empty() {
            let landed = self.in_flight.landed().await;
            self.settle(landed);
        }
        self.failure = None;
        let repeated = self.waiting.len();
        tracing::info!(repeated, "publishing was renewed");
        count_repeated(repeated);
        self.repeating = self.waiting.last_turn().map(|last| (last, repeated));
        self.note_recovery();
        self.hand_over().await;
    }

    fn note_repeated(&mut self, turn: Turn) {
        if let Some((last, left)) = &mut self.repeating
            && turn <= *last
        {
            *left = left.saturating_sub(1);
            self.note_recovery();
        }
    }

    /// Only what the renewal was for tells that it helped: while one record is refused for good,
    /// others may well be delivered.
    fn note_recovery(&mut self) {
        if self.failure.is_none() && self.repeating.is_none_or(|(_, left)| left == 0) {
            self.repeating = None;
            self.backoff = renewal_backoff();
            self.health.publishing();
        }
    }
}

const fn renewal_backoff() -> Backoff {
    Backoff::between(RENEWAL_PAUSE_FIRST, RENEWAL_PAUSE_MAX)
}

fn count_repeated(events: usize) {
    let events = u64::try_from(events).unwrap_or(u64::MAX);
    metrics::counter!("axs_publish_repeated_total").increment(events);
}
