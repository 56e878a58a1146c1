//! The thread that reads.
//!
//! Each turn: commands, then what waits for room, then one poll round. A round first waits for a
//! record, then takes what is there without waiting, so that a partition's records travel in
//! batches.

use super::client_log::ClientLog;
use super::fault::{self, Fault};
use super::feed::{Feed, Fetching, Need};
use super::waker::Waker;
use axs_application::port::record_source::{SourceError, SourceEvent};
use axs_domain::id::{Offset, PartitionId};
use axs_kafka::log_bounds;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, TopicPartitionList};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

/// How long a poll waits for a first record: the longest that a command waits for its turn.
const IDLE_WAIT: Duration = Duration::from_millis(20);

/// The same while something waits for room in a channel.
const ROOM_WAIT: Duration = Duration::from_millis(5);

/// Records of one round.
const ROUND_RECORDS_MAX: usize = 2_000;

/// Bytes of one round, but for the last record.
const ROUND_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// How long a broker may take to tell a partition's bounds.
pub(super) const BOUNDS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a log line says that reading is held up.
const HELD_UP_SAID_EVERY: Duration = Duration::from_secs(5);

/// The pause between two looks at whether the consumer is still asked something.
const RELEASE_PAUSE: Duration = Duration::from_millis(10);

pub(super) type SharedConsumer = Arc<BaseConsumer<ClientLog>>;

/// What the thread is told.
pub(super) enum Command {
    /// Read a partition from an offset.
    Assign {
        partition: PartitionId,
        from: Offset,
        reply: oneshot::Sender<Result<mpsc::Receiver<SourceEvent>, SourceError>>,
    },
    /// Stop reading a partition.
    Unassign {
        partition: PartitionId,
        reply: oneshot::Sender<Result<(), SourceError>>,
    },
    /// Stop reading and end.
    Stop { reply: oneshot::Sender<()> },
}

/// Reads all assigned partitions.
pub(super) struct Reader {
    consumer: SharedConsumer,
    waker: Waker,
    topic: String,
    waiting_batches_max: usize,
    feeds: BTreeMap<PartitionId, Feed>,
    commands: mpsc::Receiver<Command>,
    held_up_said_at: Option<Instant>,
}

impl Reader {
    pub(super) const fn new(
        consumer: SharedConsumer,
        waker: Waker,
        topic: String,
        waiting_batches_max: usize,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            consumer,
            waker,
            topic,
            waiting_batches_max,
            feeds: BTreeMap::new(),
            commands,
            held_up_said_at: None,
        }
    }

    /// Reads until it is told to stop, or nobody is left to tell it.
    pub(super) fn run(mut self) {
        let stopped = loop {
            if let ControlFlow::Break(reply) = self.obey() {
                break reply;
            }
            let wait = if self.advance() { ROOM_WAIT } else { IDLE_WAIT };
            self.poll_round(wait);
        };
        self.finish(stopped);
    }

    /// Carries out the commands that wait.
    fn obey(&mut self) -> ControlFlow<Option<oneshot::Sender<()>>> {
        loop {
            // A caller that stopped waiting for its reply is no reason to stop.
            match self.commands.try_recv() {
                Ok(Command::Assign {
                    partition,
                    from,
                    reply,
                }) => {
                    let outcome = self.assign(partition, from);
                    if reply.send(outcome).is_err() {
                        let _ = self.unassign(partition);
                    }
                }
                Ok(Command::Unassign { partition, reply }) => {
                    let _ = reply.send(self.unassign(partition));
                }
                Ok(Command::Stop { reply }) => return ControlFlow::Break(Some(reply)),
                Err(TryRecvError::Disconnected) => return ControlFlow::Break(None),
                Err(TryRecvError::Empty) => return ControlFlow::Continue(()),
            }
        }
    }

    fn assign(
        &mut self,
        partition: PartitionId,
        from: Offset,
    ) -> Result<mpsc::Receiver<SourceEvent>, SourceError> {
        self.unassign(partition)?;
        let (feed, events) = Feed::new(from, self.waiting_batches_max);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(
            &self.topic,
            partition.value(),
            rdkafka::Offset::Offset(from.value()),
        )
        .and_then(|()| self.consumer.incremental_assign(&list))
        .map_err(|error| refused(partition, &error))?;
        self.feeds.insert(partition, feed);
        Ok(events)
    }

    fn unassign(&mut self, partition: PartitionId) -> Result<(), SourceError> {
        let Some(feed) = self.feeds.remove(&partition) else {
            return Ok(());
        };
        self.leave(partition, feed.fetching())
            .map_err(|error| refused(partition, &error))
    }

    /// Stops fetching a partition. What was fetched and not polled is dropped by librdkafka.
    fn leave(&self, partition: PartitionId, fetching: Fetching) -> KafkaResult<()> {
        let list = self.list(partition);
        match fetching {
            Fetching::Off => return Ok(()),
            Fetching::On => {}
            // librdkafka would remember the pause when the partition is assigned again. What can't
            // be resumed is left all the same.
            Fetching::Paused => {
                if let Err(error) = self.consumer.resume(&list) {
                    tracing::warn!(%partition, %error, "a paused partition could not be resumed");
                }
            }
        }
        self.consumer.incremental_unassign(&list)
    }

    /// Stops fetching what broke. Its last records and the reason may still wait for room.
    fn leave_broken(&mut self) {
        let broken: Vec<(PartitionId, Fetching)> = self
            .feeds
            .iter()
            .filter(|(_, feed)| !feed.is_sound() && feed.fetching() != Fetching::Off)
            .map(|(partition, feed)| (*partition, feed.fetching()))
            .collect();
        for (partition, fetching) in broken {
            if let Err(error) = self.leave(partition, fetching) {
                tracing::warn!(%partition, %error, "a broken partition could not be left");
            }
            if let Some(feed) = self.feeds.get_mut(&partition) {
                feed.set_fetching(Fetching::Off);
            }
        }
    }

    fn list(&self, partition: PartitionId) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, partition.value());
        list
    }

    /// Sends what there is room for; whether something still waits for room.
    fn advance(&mut self) -> bool {
        let mut waits = false;
        let partitions: Vec<PartitionId> = self.feeds.keys().copied().collect();
        for partition in partitions {
            let Some(feed) = self.feeds.get_mut(&partition) else {
                continue;
            };
            match feed.advance() {
                Need::Nothing => {}
                Need::Room => waits = true,
                Need::Pause => {
                    waits = true;
                    self.set_fetching(partition, Fetching::Paused);
                }
                Need::Resume => self.set_fetching(partition, Fetching::On),
                Need::End => {
                    if let Err(error) = self.unassign(partition) {
                        tracing::warn!(%error, "a partition could not be left");
                    }
                }
            }
        }
        waits
    }

    fn set_fetching(&mut self, partition: PartitionId, fetching: Fetching) {
        let list = self.list(partition);
        let outcome = if fetching == Fetching::Paused {
            metrics::counter!("axs_source_pauses_total").increment(1);
            self.consumer.pause(&list)
        } else {
            let resumed = self.consumer.resume(&list);
            if resumed.is_ok() {
                self.waker.wake(partition);
            }
            resumed
        };
        if let Some(feed) = self.feeds.get_mut(&partition) {
            match outcome {
                Ok(()) => feed.set_fetching(fetching),
                Err(error) => feed.break_off(error.to_string()),
            }
        }
    }

    /// Takes what is there, waiting only for the first record.
    fn poll_round(&mut self, first_wait: Duration) {
        let consumer = Arc::clone(&self.consumer);
        let (mut wait, mut bytes) = (first_wait, 0);
        for _ in 0..ROUND_RECORDS_MAX {
            match consumer.poll(wait) {
                None => break,
                // At once: what is polled after an error may lie behind a gap.
                Some(Err(error)) => self.meet(&error),
                Some(Ok(message)) => {
                    bytes += message.payload_len() + message.key_len();
                    self.take(&message);
                }
            }
            if bytes >= ROUND_BYTES_MAX {
                break;
            }
            wait = Duration::ZERO;
        }
        self.leave_broken();
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        // librdkafka gives nothing from a partition that was left, so the feed is there.
        let feed = PartitionId::try_new(message.partition())
            .ok()
            .and_then(|partition| self.feeds.get_mut(&partition));
        if let Some(feed) = feed {
            feed.take(message);
        }
    }

    fn meet(&mut self, error: &KafkaError) {
        match fault::judge(error) {
            Fault::Passing => self.say_held_up(error),
            Fault::OutOfRange => self.trace_out_of_range(error),
            Fault::Breaking => self.break_all(error),
        }
    }

    /// An outage comes back as an error many times a second.
    fn say_held_up(&mut self, error: &KafkaError) {
        metrics::counter!("axs_reading_held_up_total").increment(1);
        if self
            .held_up_said_at
            .is_none_or(|said_at| said_at.elapsed() >= HELD_UP_SAID_EVERY)
        {
            self.held_up_said_at = Some(Instant::now());
            tracing::warn!(%error, "reading is held up");
        }
    }

    /// Finds the partitions whose log does not have the offset that comes next.
    fn trace_out_of_range(&mut self, error: &KafkaError) {
        let mut found = false;
        for (partition, feed) in self.feeds.iter_mut().filter(|(_, feed)| feed.is_sound()) {
            let bounds = log_bounds(&self.consumer, &self.topic, *partition, BOUNDS_TIMEOUT);
            let Ok((start, end)) = bounds else {
                break;
            };
            if let Some(reason) = fault::outside(feed.next().value(), start, end) {
                found = true;
                feed.break_off(reason);
            }
        }
        if !found {
            self.break_all(error);
        }
    }

    fn break_all(&mut self, error: &KafkaError) {
        for feed in self.feeds.values_mut() {
            feed.break_off(format!(
                "reading topic {} failed ({error}), and librdkafka does not say at which \
                 partition; lead the partition anew, and check that the topic is there and may \
                 be read",
                self.topic
            ));
        }
    }

    /// Leaves everything, says so, and gives the consumer up.
    fn finish(mut self, stopped: Option<oneshot::Sender<()>>) {
        self.waker.stop();
        let partitions: Vec<PartitionId> = self.feeds.keys().copied().collect();
        for partition in partitions {
            if let Err(error) = self.unassign(partition) {
                tracing::warn!(%error, "a partition could not be left");
            }
        }
        self.commands.close();
        if let Some(reply) = stopped {
            let _ = reply.send(());
        }
        // Dropping a consumer may block, so the last to hold it should be this thread and not a
        // question on a thread of the runtime, and none begins any more. Where the broker is away
        // the waker may be the last, on its own thread.
        let deadline = Instant::now() + 2 * BOUNDS_TIMEOUT;
        while Arc::strong_count(&self.consumer) > 1 && Instant::now() < deadline {
            std::thread::sleep(RELEASE_PAUSE);
        }
    }
}

fn refused(partition: PartitionId, reason: &dyn Display) -> SourceError {
    SourceError {
        partition,
        reason: reason.to_string(),
    }
}
