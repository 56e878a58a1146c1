//! One partition on its way into its channel.

use axs_application::port::record_source::{InboundRecord, SourceEvent};
use axs_domain::id::Offset;
use bytes::BytesMut;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Records that wait outside of a full channel before the partition is paused.
const WAITING_RECORDS_MAX: usize = 500;

/// Bytes that wait outside of a full channel before the partition is paused.
const WAITING_BYTES_MAX: usize = 1_024 * 1_024;

/// Where a record's key and payload end in the bytes of its batch.
struct Extent {
    offset: Offset,
    key_end: usize,
    payload_end: usize,
}

/// Records on the way, copied side by side so that a batch costs one allocation.
#[derive(Default)]
struct Batch {
    bytes: BytesMut,
    extents: Vec<Extent>,
}

impl Batch {
    fn add(&mut self, offset: Offset, key: &[u8], payload: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(payload);
        self.extents.push(Extent {
            offset,
            key_end,
            payload_end: self.bytes.len(),
        });
    }

    fn is_full(&self) -> bool {
        self.extents.len() >= WAITING_RECORDS_MAX || self.bytes.len() >= WAITING_BYTES_MAX
    }

    fn take(&mut self) -> Vec<InboundRecord> {
        let bytes = self.bytes.split().freeze();
        let mut begin = 0;
        self.extents
            .drain(..)
            .map(|extent| {
                let record = InboundRecord {
                    offset: extent.offset,
                    key: bytes.slice(begin..extent.key_end),
                    payload: bytes.slice(extent.key_end..extent.payload_end),
                };
                begin = extent.payload_end;
                record
            })
            .collect()
    }
}

/// What the reader must do about a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Nothing,
    /// Look again soon: something waits for room.
    Room,
    /// Stop fetching until there is room.
    Pause,
    /// There is room again.
    Resume,
    /// Nothing more will be sent: forget the partition.
    End,
}

/// What librdkafka does about a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fetching {
    /// Fetches it.
    On,
    /// Holds it until there is room.
    Paused,
    /// Knows it no more.
    Off,
}

/// One partition that is read.
pub(super) struct Feed {
    channel: mpsc::Sender<SourceEvent>,
    batch: Batch,
    /// The smallest offset that the next record may have. Offsets without a record are legal.
    next: Offset,
    fetching: Fetching,
    /// Why the partition can't be read on; said after the records before.
    fault: Option<String>,
}

impl Feed {
    /// A partition to be read from an offset, and the channel that its records come out of.
    pub(super) fn new(
        from: Offset,
        waiting_batches_max: usize,
    ) -> (Self, mpsc::Receiver<SourceEvent>) {
        // A channel must have room for something.
        let (channel, events) = mpsc::channel(waiting_batches_max.max(1));
        let feed = Self {
            channel,
            batch: Batch::default(),
            next: from,
            fetching: Fetching::On,
            fault: None,
        };
        (feed, events)
    }

    /// The smallest offset that the next record may have.
    pub(super) const fn next(&self) -> Offset {
        self.next
    }

    /// Whether the partition can be read on.
    pub(super) const fn is_sound(&self) -> bool {
        self.fault.is_none()
    }

    /// What librdkafka was last told.
    pub(super) const fn fetching(&self) -> Fetching {
        self.fetching
    }

    /// Notes what librdkafka was told.
    pub(super) const fn set_fetching(&mut self, fetching: Fetching) {
        self.fetching = fetching;
    }

    /// Takes a record.
    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>) {
        self.take_record(
            message.offset(),
            message.key().unwrap_or_default(),
            message.payload().unwrap_or_default(),
        );
    }

    fn take_record(&mut self, offset: i64, key: &[u8], payload: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        match Offset::try_new(offset) {
            Ok(offset) if offset >= self.next => {
                self.batch.add(offset, key, payload);
                self.next = offset.next();
            }
            _ => self.break_off(format!(
                "offset {offset} came where {} or a later one was due; lead the partition anew",
                self.next
            )),
        }
    }

    /// Ends the partition: the records taken so far are sent, then the reason.
    pub(super) fn break_off(&mut self, reason: String) {
        self.fault.get_or_insert(reason);
    }

    /// Sends what there is room for.
    pub(super) fn advance(&mut self) -> Need {
        if self.channel.is_closed() {
            return Need::End;
        }
        if !self.batch.extents.is_empty() {
            match self.channel.try_reserve() {
                Ok(room) => room.send(SourceEvent::Records(self.batch.take())),
                Err(TrySendError::Closed(())) => return Need::End,
                Err(TrySendError::Full(())) if self.fault.is_none() && self.batch.is_full() => {
                    return match self.fetching {
                        Fetching::On => Need::Pause,
                        Fetching::Paused | Fetching::Off => Need::Room,
                    };
                }
                Err(TrySendError::Full(())) => return Need::Room,
            }
        }
        if let Some(reason) = &self.fault {
            return match self.channel.try_reserve() {
                Ok(room) => {
                    room.send(SourceEvent::Broken(reason.clone()));
                    Need::End
                }
                Err(TrySendError::Closed(())) => Need::End,
                Err(TrySendError::Full(())) => Need::Room,
            };
        }
        // Half empty, not one place: each resumption fetches again what the pause threw away.
        let has_room = self.channel.capacity() * 2 >= self.channel.max_capacity();
        match self.fetching {
            Fetching::On | Fetching::Off => Need::Nothing,
            Fetching::Paused if has_room => Need::Resume,
            Fetching::Paused => Need::Room,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(value: i64) -> Offset {
        Offset::try_new(value).unwrap()
    }

    fn offsets(event: SourceEvent) -> Vec<i64> {
        match event {
            SourceEvent::Records(records) => records.iter().map(|r| r.offset.value()).collect(),
            SourceEvent::Broken(reason) => panic!("broken: {reason}"),
        }
    }

    #[test]
    fn records_of_a_round_travel_together_with_their_own_bytes() {
        let (mut feed, mut events) = Feed::new(offset(5), 4);
        feed.take_record(5, b"k", b"payload");
        feed.take_record(6, b"", b"");
        feed.take_record(9, b"key", b"p");
        assert_eq!(feed.advance(), Need::Nothing);
        let Ok(SourceEvent::Records(records)) = events.try_recv() else {
            panic!("no records");
        };
        let read: Vec<_> = records
            .iter()
            .map(|r| (r.offset.value(), &r.key[..], &r.payload[..]))
            .collect();
        assert_eq!(
            read,
            [
                (5, &b"k"[..], &b"payload"[..]),
                (6, b"", b""),
                (9, b"key", b"p")
            ]
        );
        assert_eq!(feed.next(), offset(10));
        assert_eq!(feed.advance(), Need::Nothing);
        assert!(events.try_recv().is_err(), "an empty batch is never sent");
    }

    #[test]
    fn a_full_channel_gathers_a_batch_before_it_pauses_and_resumes_half_empty() {
        let (mut feed, mut events) = Feed::new(offset(0), 2);
        for value in 0..3 {
            feed.take_record(value, b"", b"");
            let need = feed.advance();
            assert_eq!(need, if value < 2 { Need::Nothing } else { Need::Room });
        }
        let last = i64::try_from(WAITING_RECORDS_MAX).unwrap() + 2;
        for value in 3..last {
            feed.take_record(value, b"", b"");
        }
        assert_eq!(feed.advance(), Need::Pause);
        feed.set_fetching(Fetching::Paused);
        assert_eq!(feed.advance(), Need::Room);
        assert_eq!(offsets(events.try_recv().unwrap()), [0]);
        assert_eq!(feed.advance(), Need::Room, "the batch took the room");
        assert_eq!(offsets(events.try_recv().unwrap()), [1]);
        assert_eq!(feed.advance(), Need::Resume);
        feed.set_fetching(Fetching::On);
        let gathered: Vec<i64> = (2..last).collect();
        assert_eq!(offsets(events.try_recv().unwrap()), gathered);
        assert_eq!(feed.advance(), Need::Nothing);
    }

    #[test]
    fn large_records_pause_a_partition_before_many_of_them_wait() {
        let (mut feed, _events) = Feed::new(offset(0), 1);
        let payload = vec![0; WAITING_BYTES_MAX / 2];
        feed.take_record(0, b"", &payload);
        assert_eq!(feed.advance(), Need::Nothing);
        feed.take_record(1, b"", &payload);
        assert_eq!(feed.advance(), Need::Room);
        feed.take_record(2, b"", &payload);
        assert_eq!(feed.advance(), Need::Pause);
    }

    #[test]
    fn a_fault_is_said_after_the_records_before_it_and_ends_the_feed() {
        let (mut feed, mut events) = Feed::new(offset(0), 1);
        feed.take_record(0, b"", b"");
        assert_eq!(feed.advance(), Need::Nothing);
        feed.take_record(1, b"", b"");
        feed.break_off("first".into());
        feed.break_off("second".into());
        feed.take_record(2, b"", b"");
        assert_eq!(feed.advance(), Need::Room);
        assert_eq!(offsets(events.try_recv().unwrap()), [0]);
        assert_eq!(feed.advance(), Need::Room);
        assert_eq!(offsets(events.try_recv().unwrap()), [1]);
        assert_eq!(feed.advance(), Need::End);
        let Ok(SourceEvent::Broken(reason)) = events.try_recv() else {
            panic!("the reason is missing");
        };
        assert_eq!(reason, "first");
    }

    #[test]
    fn an_offset_that_comes_again_breaks_the_partition() {
        let (mut feed, mut events) = Feed::new(offset(3), 4);
        feed.take_record(3, b"", b"");
        feed.take_record(3, b"", b"");
        assert!(!feed.is_sound());
        assert_eq!(feed.advance(), Need::End);
        assert_eq!(offsets(events.try_recv().unwrap()), [3]);
        assert!(matches!(events.try_recv(), Ok(SourceEvent::Broken(_))));
    }

    #[test]
    fn a_receiver_that_is_gone_ends_the_feed() {
        let (mut feed, events) = Feed::new(offset(0), 1);
        drop(events);
        assert_eq!(feed.advance(), Need::End);
    }
}
