//! Events that are with the producer, until their delivery reports.

use super::waiting::Queued;
use crate::port::event_publisher::{Delivery, PublishError};
use axs_domain::id::{Offset, PartitionId};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::task::{Context, Poll};

/// An event whose delivery report has come.
pub(super) struct Landed {
    pub(super) queued: Queued,
    pub(super) report: Result<Option<Offset>, PublishError>,
}

/// All that are with the producer. Bounded by the window, of which each event holds a place.
///
/// Reports of a partition come in its order, so only the first event of each partition is waited
/// for: many events cost a few wake-ups.
#[derive(Default)]
pub(super) struct InFlight {
    by_partition: BTreeMap<PartitionId, VecDeque<(Queued, Delivery)>>,
}

impl InFlight {
    /// Adds an event that was enqueued behind all others of its partition.
    pub(super) fn push(&mut self, queued: Queued, delivery: Delivery) {
        let partition = queued.event.record.partition;
        let flight = self.by_partition.entry(partition).or_default();
        flight.push_back((queued, delivery));
    }

    /// How many events of the partition are with the producer.
    pub(super) fn of(&self, partition: PartitionId) -> usize {
        self.by_partition.get(&partition).map_or(0, VecDeque::len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_partition.values().all(VecDeque::is_empty)
    }

    /// Waits for reports, and takes all events out that have theirs; for ever while nothing is with
    /// the producer. Dropping the future loses nothing.
    pub(super) async fn landed(&mut self) -> Vec<Landed> {
        poll_fn(|cx| self.poll_landed(cx)).await
    }

    fn poll_landed(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Landed>> {
        let mut landed = Vec::new();
        for flight in self.by_partition.values_mut() {
            while let Some((_, delivery)) = flight.front_mut()
                && let Poll::Ready(report) = delivery.poll_report(cx)
                && let Some((queued, _)) = flight.pop_front()
            {
                landed.push(Landed { queued, report });
            }
        }
        if landed.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(landed)
        }
    }
}
