//! The one task of a process that hands events to the producer.

use super::EventToPublish;
use super::health_board::HealthBoard;
use super::position_notes::PositionSink;
use super::window::PublishWindow;
use crate::port::change_log::PublishedPosition;
use crate::port::event_publisher::{Delivery, EventPublisher, PublishError};
use crate::usecase::backlog::Backlog;
use crate::usecase::backoff::Backoff;
use axs_domain::id::Offset;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Events taken from the intake at a time.
const TAKEN_AT_ONCE_MAX: usize = 256;

/// After a full queue the same record is tried again at the next delivery, or after this time: the
/// queue may be full of what is not ours to wait for.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(20);

/// The pause before the first renewal of a failed producer.
const RENEWAL_PAUSE_FIRST: Duration = Duration::from_millis(50);

/// The longest pause between two renewals. There are as many as it takes: what waits holds places
/// of the window, so nothing grows meanwhile.
const RENEWAL_PAUSE_MAX: Duration = Duration::from_secs(5);

/// An event's place in the order of this process. It keeps it until its delivery.
type Turn = u64;

/// An event whose delivery report has come.
struct Landed {
    turn: Turn,
    event: EventToPublish,
    report: Result<Option<Offset>, PublishError>,
}

/// Takes events in order, enqueues them in order, and settles each at its delivery report.
///
/// An event stays here until its delivery: what a failed producer gives back is enqueued again, in
/// its old turn, before anything that was taken later.
pub(super) struct PublishLoop {
    publisher: Arc<dyn EventPublisher>,
    window: Arc<PublishWindow>,
    intake: mpsc::UnboundedReceiver<EventToPublish>,
    positions: PositionSink,
    backlog: Arc<dyn Backlog>,
    health: Arc<HealthBoard>,
    closing: CancellationToken,
    turn_next: Turn,
    /// Taken, and not with the producer: not yet, or not any more.
    waiting: BTreeMap<Turn, EventToPublish>,
    in_flight: FuturesUnordered<BoxFuture<'static, Landed>>,
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
        intake: mpsc::UnboundedReceiver<EventToPublish>,
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
            waiting: BTreeMap::new(),
            in_flight: FuturesUnordered::new(),
            failure: None,
            repeating: None,
            backoff: renewal_backoff(),
        }
    }

    /// Runs until the intake is closed and everything taken from it is delivered.
    pub(super) async fn run(mut self) {
        let closing = self.closing.clone();
        let mut batch = Vec::with_capacity(TAKEN_AT_ONCE_MAX);
        loop {
            if self.failure.is_some() {
                self.renew().await;
            }
            tokio::select! {
                // Reports first: what a failed one says must be known before the next event is
                // handed over.
                biased;
                Some(landed) = self.in_flight.next() => self.settle(landed),
                () = closing.cancelled(), if !self.intake.is_closed() => self.intake.close(),
                // Not while the producer fails: what waits must come before it, and holds places
                // of the window there as well as here.
                taken = self.intake.recv_many(&mut batch, TAKEN_AT_ONCE_MAX),
                    if self.failure.is_none() =>
                {
                    if taken == 0 {
                        break;
                    }
                    for event in batch.drain(..) {
                        self.waiting.insert(self.turn_next, event);
                        self.turn_next += 1;
                    }
                    self.hand_over().await;
                }
                () = std::future::ready(()), if self.failure.is_some() => {}
            }
        }
        while !self.in_flight.is_empty() || !self.waiting.is_empty() {
            if self.failure.is_some() {
                self.renew().await;
            } else if let Some(landed) = self.in_flight.next().await {
                self.settle(landed);
            } else {
                self.hand_over().await;
            }
        }
    }

    /// Enqueues what waits, each event before the next one is looked at, however often the queue
    /// is full: order per partition is the order of this loop. Ends early when the producer fails.
    async fn hand_over(&mut self) {
        while self.failure.is_none()
            && let Some((turn, event)) = self.waiting.pop_first()
        {
            match self.publisher.enqueue(event.record.clone()) {
                Ok(delivery) => self
                    .in_flight
                    .push(Box::pin(landing(turn, event, delivery))),
                Err(refused) => {
                    self.waiting.insert(turn, event);
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
            Some(landed) = self.in_flight.next() => self.settle(landed),
            () = sleep(QUEUE_FULL_PAUSE) => {}
        }
    }

    fn settle(&mut self, landed: Landed) {
        let Landed {
            turn,
            event,
            report,
        } = landed;
        match report {
            Ok(offset) => {
                self.note_repeated(turn);
                if let Some(waiter) = event.waiter {
                    // A waiter whose time is over is gone; its event is published all the same.
                    let _ = waiter.send(());
                }
                // The position is a hint: without one the row only says less until it is final.
                if let Some(offset) = offset {
                    self.backlog.note_published(event.record.partition, offset);
                    self.positions.put(PublishedPosition {
                        key: event.key,
                        partition: event.record.partition,
                        offset,
                    });
                }
                drop(event.place);
                self.window.report();
            }
            Err(error) => {
                self.waiting.insert(turn, event);
                self.fail(error.to_string());
            }
        }
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
        while let Some(landed) = self.in_flight.next().await {
            self.settle(landed);
        }
        self.failure = None;
        let repeated = self.waiting.len();
        tracing::info!(repeated, "publishing was renewed");
        count_repeated(repeated);
        self.repeating = self
            .waiting
            .last_key_value()
            .map(|(last, _)| (*last, repeated));
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

async fn landing(turn: Turn, event: EventToPublish, delivery: Delivery) -> Landed {
    Landed {
        turn,
        report: delivery.report().await,
        event,
    }
}
