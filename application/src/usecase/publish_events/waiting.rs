//! Events that wait for the producer, by partition, each partition's in their order.

use super::EventToPublish;
use axs_domain::id::PartitionId;
use std::collections::{BTreeMap, VecDeque};

/// An event's place in the order of this process. It keeps it until its delivery.
pub(super) type Turn = u64;

/// An event with its turn.
pub(super) struct Queued {
    pub(super) turn: Turn,
    pub(super) event: EventToPublish,
}

/// All that wait. Bounded by the window, of which each event holds a place.
#[derive(Default)]
pub(super) struct Waiting {
    by_partition: BTreeMap<PartitionId, VecDeque<Queued>>,
}

impl Waiting {
    /// Adds an event in its turn: mostly behind all others, and before them when it comes back.
    pub(super) fn put(&mut self, queued: Queued) {
        let partition = queued.event.record.partition;
        let queue = self.by_partition.entry(partition).or_default();
        let at = match queue.back() {
            Some(last) if last.turn > queued.turn => {
                queue.partition_point(|other| other.turn < queued.turn)
            }
            _ => queue.len(),
        };
        queue.insert(at, queued);
    }

    /// Takes the first event of the partition.
    pub(super) fn next_of(&mut self, partition: PartitionId) -> Option<Queued> {
        self.by_partition.get_mut(&partition)?.pop_front()
    }

    /// The partitions for which events wait.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        let waited_for = self.by_partition.iter().filter(|(_, it)| !it.is_empty());
        waited_for.map(|(partition, _)| *partition).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_partition.values().all(VecDeque::is_empty)
    }

    pub(super) fn len(&self) -> usize {
        self.by_partition.values().map(VecDeque::len).sum()
    }

    /// The turn of the event that was taken last.
    pub(super) fn last_turn(&self) -> Option<Turn> {
        let lasts = self.by_partition.values().filter_map(VecDeque::back);
        lasts.map(|queued| queued.turn).max()
    }
}

#[cfg(test)]
mod tests {
    use super::super::WindowPlaces;
    use super::super::tests::event;
    use super::*;

    #[test]
    fn events_that_come_back_stand_before_the_later_ones_of_their_partition_in_their_order() {
        let mut places = WindowPlaces::detached(6).unwrap();
        let mut waiting = Waiting::default();
        for turn in [4, 5, 1, 2, 3] {
            let event = event(1, places.split_one().unwrap());
            waiting.put(Queued { turn, event });
        }
        let mut elsewhere = event(1, places.split_one().unwrap());
        elsewhere.record.partition = PartitionId::try_new(1).unwrap();
        let queued = Queued {
            turn: 0,
            event: elsewhere,
        };
        waiting.put(queued);
        assert_eq!((waiting.len(), waiting.last_turn()), (6, Some(5)));
        let turns = std::iter::from_fn(|| waiting.next_of(PartitionId::MIN));
        assert_eq!(
            turns.map(|queued| queued.turn).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5]
        );
        assert_eq!(waiting.partitions(), [PartitionId::try_new(1).unwrap()]);
        assert!(!waiting.is_empty());
    }
}
