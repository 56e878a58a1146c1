//! The one task of a process that hands events to the producer.

use super::EventToPublish;
use super::position_notes::PositionSink;
use super::window::{PublishWindow, WindowPlace};
use crate::port::change_log::{ChangeLogKey, PublishedPosition};
use crate::port::event_publisher::{Delivery, EventPublisher, PublishError};
use axs_domain::id::{Offset, PartitionId};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Events taken from the intake at a time.
const TAKEN_AT_ONCE_MAX: usize = 256;

/// After a full queue the same record is tried again at the next delivery, or after this time: the
/// queue may be full of what is not ours to wait for.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(20);

/// An event whose delivery report has come.
struct Landed {
    key: ChangeLogKey,
    partition: PartitionId,
    report: Result<Option<Offset>, PublishError>,
    waiter: Option<oneshot::Sender<()>>,
    place: WindowPlace,
}

/// Takes events in order, enqueues them in order, and settles each at its delivery report.
pub(super) struct PublishLoop {
    publisher: Arc<dyn EventPublisher>,
    window: Arc<PublishWindow>,
    intake: mpsc::UnboundedReceiver<EventToPublish>,
    positions: PositionSink,
    broken: Arc<OnceLock<String>>,
    closing: CancellationToken,
    in_flight: FuturesUnordered<BoxFuture<'static, Landed>>,
}

impl PublishLoop {
    pub(super) fn new(
        publisher: Arc<dyn EventPublisher>,
        window: Arc<PublishWindow>,
        intake: mpsc::UnboundedReceiver<EventToPublish>,
        positions: PositionSink,
        broken: Arc<OnceLock<String>>,
        closing: CancellationToken,
    ) -> Self {
        Self {
            publisher,
            window,
            intake,
            positions,
            broken,
            closing,
            in_flight: FuturesUnordered::new(),
        }
    }

    /// Runs until the intake is closed and everything taken from it is settled.
    pub(super) async fn run(mut self) {
        let closing = self.closing.clone();
        let mut batch = Vec::with_capacity(TAKEN_AT_ONCE_MAX);
        loop {
            tokio::select! {
                // Reports first: what a failed one says must be known before the next event is
                // handed over.
                biased;
                Some(landed) = self.in_flight.next() => self.settle(landed),
                () = closing.cancelled(), if !self.intake.is_closed() => self.intake.close(),
                taken = self.intake.recv_many(&mut batch, TAKEN_AT_ONCE_MAX) => {
                    if taken == 0 {
                        break;
                    }
                    for event in batch.drain(..) {
                        self.hand_over(event).await;
                    }
                }
            }
        }
        while let Some(landed) = self.in_flight.next().await {
            self.settle(landed);
        }
    }

    /// Enqueues one event before the next one is looked at, however often the queue is full: order
    /// per partition is the order of this loop.
    async fn hand_over(&mut self, event: EventToPublish) {
        while self.broken.get().is_none() {
            match self.publisher.enqueue(event.record.clone()) {
                Ok(delivery) => {
                    self.in_flight.push(Box::pin(landing(event, delivery)));
                    return;
                }
                Err(PublishError::QueueFull) => self.wait_for_room().await,
                Err(PublishError::Failed(reason)) => self.give_up(&reason),
            }
        }
        // Dropping it gives its place back and tells its waiter that nothing will come.
        drop(event);
        self.window.report();
        metrics::counter!("axs_publish_left_to_relay_total").increment(1);
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
        match landed.report {
            Ok(offset) => {
                if let Some(waiter) = landed.waiter {
                    // A waiter whose time is over is gone; its event is published all the same.
                    let _ = waiter.send(());
                }
                // The position is a hint: without one the row only says less until it is final.
                if let Some(offset) = offset {
                    self.positions.put(PublishedPosition {
                        key: landed.key,
                        partition: landed.partition,
                        offset,
                    });
                }
            }
            Err(error) => {
                metrics::counter!("axs_publish_left_to_relay_total").increment(1);
                self.give_up(&error.to_string());
            }
        }
        drop(landed.place);
        self.window.report();
    }

    fn give_up(&self, reason: &str) {
        if self.broken.set(reason.to_owned()).is_ok() {
            tracing::error!(
                reason,
                "this process publishes no more until it is restarted; the relay publishes what is left"
            );
        }
    }
}

async fn landing(event: EventToPublish, delivery: Delivery) -> Landed {
    let EventToPublish {
        record,
        key,
        place,
        waiter,
    } = event;
    // The record's bytes belong to the producer from here on.
    let partition = record.partition;
    drop(record);
    Landed {
        key,
        partition,
        report: delivery.report().await,
        waiter,
        place,
    }
}
