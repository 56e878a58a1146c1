//! Reading a stretch of the events topic again.
//!
//! One consumer for all readings, one reading at a time: it asks for the partition's bounds,
//! assigns the partition at the first offset, polls until the stretch is through, and leaves the
//! partition. It joins no group. What librdkafka settles by itself is waited for within the time
//! of the reading; what it would skip (an offset that was dropped meanwhile, a batch with a wrong
//! checksum) is an error.

use super::client_log::ClientLog;
use super::settings::KafkaSettings;
use async_trait::async_trait;
use axs_application::port::event_topic::BrokerError;
use axs_application::port::record_reader::RecordReader;
use axs_application::port::record_source::InboundRecord;
use axs_domain::id::{Offset, PartitionId};
use axs_kafka::{KafkaSettingsError, Property, log_bounds};
use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, TopicPartitionList};
use shaku::Component;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a broker may take to tell a partition's bounds.
const BOUNDS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the records of one reading may take to come, after the bounds.
const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// Bytes of one reading, but for the last record.
const READ_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// KiB that librdkafka fetches ahead. What a reading leaves over is thrown away.
const FETCHED_AHEAD_KIB_MAX: u32 = 4 * 1_024;

/// How soon librdkafka looks again when it has fetched enough ahead.
const FETCH_QUEUE_BACKOFF: Duration = Duration::from_millis(10);

/// How long a broker may hold a fetch that finds nothing. A reading is never without something
/// to find.
const FETCH_WAIT_MAX: Duration = Duration::from_millis(10);

/// What the reading client sets besides what all clients share.
pub(super) fn reader_properties(group_id: &str) -> [Property; 11] {
    [
        // librdkafka wants a group even from a reader that joins none.
        ("group.id", group_id.into()),
        ("enable.auto.commit", "false".into()),
        ("enable.auto.offset.store", "false".into()),
        ("auto.offset.reset", "error".into()),
        // A stretch may end in offsets without a record: only this tells that it is through.
        ("enable.partition.eof", "true".into()),
        ("check.crcs", "true".into()),
        // As the leaders read.
        ("isolation.level", "read_uncommitted".into()),
        (
            "queued.max.messages.kbytes",
            FETCHED_AHEAD_KIB_MAX.to_string(),
        ),
        (
            "fetch.queue.backoff.ms",
            FETCH_QUEUE_BACKOFF.as_millis().to_string(),
        ),
        ("fetch.wait.max.ms", FETCH_WAIT_MAX.as_millis().to_string()),
        ("max.partition.fetch.bytes", READ_BYTES_MAX.to_string()),
    ]
}

/// A consumer that reads stretches. Cheap to clone; one connection, and one reading at a time,
/// for all clones.
#[derive(Clone)]
pub struct ReadingClient {
    settings: Arc<KafkaSettings>,
    consumer: Arc<Mutex<Reading>>,
}

impl fmt::Debug for ReadingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl ReadingClient {
    /// A client for these settings. Needs no live broker. `group_id` is only a name: no group is
    /// joined.
    ///
    /// # Errors
    /// [`KafkaSettingsError`] when they set what is set here, or when librdkafka refuses them.
    pub fn try_new(settings: &KafkaSettings, group_id: &str) -> Result<Self, KafkaSettingsError> {
        let kafka = &settings.connection;
        let consumer = kafka
            .client_config(&reader_properties(group_id))?
            .create_with_context(ClientLog)
            .map_err(|error| kafka.refused(&error))?;
        Ok(Self {
            settings: Arc::new(settings.clone()),
            consumer: Arc::new(Mutex::new(Reading(Some(consumer)))),
        })
    }

    fn unavailable(&self, reason: &dyn fmt::Display) -> BrokerError {
        BrokerError::Unavailable {
            brokers: self.settings.connection.brokers.clone(),
            reason: format!("reading {}: {reason}", self.settings.events_topic),
        }
    }
}

/// Holds the consumer, whose end may block and so gets a thread of its own.
struct Reading(Option<BaseConsumer<ClientLog>>);

impl Drop for Reading {
    fn drop(&mut self) {
        let consumer = self.0.take();
        // Without a thread to spare it is dropped here.
        let _ = std::thread::Builder::new().spawn(move || drop(consumer));
    }
}

/// Which records one reading wants.
struct Stretch {
    from: i64,
    until: i64,
    records_max: usize,
}

/// Why a reading ended without an answer.
enum Failure {
    Library(KafkaError),
    Said(String),
}

impl From<KafkaError> for Failure {
    fn from(error: KafkaError) -> Self {
        Self::Library(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(error) => error.fmt(f),
            Self::Said(reason) => f.write_str(reason),
        }
    }
}

impl Reading {
    fn read(
        &self,
        topic: &str,
        partition: PartitionId,
        wanted: &Stretch,
    ) -> Result<Vec<InboundRecord>, Failure> {
        let Some(consumer) = &self.0 else {
            return Err(Failure::Said("the reader has ended".to_owned()));
        };
        let (start, end) = log_bounds(consumer, topic, partition, BOUNDS_TIMEOUT)?;
        let stretch = Stretch {
            from: wanted.from.max(start),
            until: wanted.until.min(end),
            records_max: wanted.records_max,
        };
        if stretch.from >= stretch.until || stretch.records_max == 0 {
            return Ok(Vec::new());
        }
        let records = read_assigned(consumer, topic, partition, &stretch)?;
        if records.is_empty() {
            // That nothing is there is believed when it is seen twice: an end that the library
            // tells may be left over from the reading before.
            return read_assigned(consumer, topic, partition, &stretch);
        }
        Ok(records)
    }
}

fn read_assigned(
    consumer: &BaseConsumer<ClientLog>,
    topic: &str,
    partition: PartitionId,
    stretch: &Stretch,
) -> Result<Vec<InboundRecord>, Failure> {
    assign(consumer, topic, partition, stretch.from)?;
    let read = poll(consumer, partition, stretch);
    // Left in any case: the next reading assigns anew, and must not meet what this one left.
    consumer.unassign()?;
    read
}

fn assign(
    consumer: &BaseConsumer<ClientLog>,
    topic: &str,
    partition: PartitionId,
    from: i64,
) -> KafkaResult<()> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition.value(), rdkafka::Offset::Offset(from))?;
    consumer.assign(&list)
}

fn poll(
    consumer: &BaseConsumer<ClientLog>,
    partition: PartitionId,
    stretch: &Stretch,
) -> Result<Vec<InboundRecord>, Failure> {
    let deadline = Instant::now() + READ_TIME_MAX;
    let (mut records, mut bytes) = (Vec::new(), 0);
    let mut held_up: Option<KafkaError> = None;
    while records.len() < stretch.records_max && bytes < READ_BYTES_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        match consumer.poll(left) {
            // What was read until now is whole: the caller goes on behind it.
            None if !records.is_empty() => break,
            None => {
                let reason = held_up.map_or_else(
                    || format!("no record came within {} s", READ_TIME_MAX.as_secs()),
                    |error| error.to_string(),
                );
                return Err(Failure::Said(reason));
            }
            Some(Err(KafkaError::PartitionEOF(at))) if at == partition.value() => break,
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) if is_passing(&error) => held_up = Some(error),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(message)) => {
                if message.partition() != partition.value() || message.offset() < stretch.from {
                    continue;
                }
                if message.offset() >= stretch.until {
                    break;
                }
                bytes += message.payload_len() + message.key_len();
                records.push(inbound(&message)?);
            }
        }
    }
    Ok(records)
}

fn inbound(message: &BorrowedMessage<'_>) -> Result<InboundRecord, Failure> {
    let offset = Offset::try_new(message.offset())
        .map_err(|problem| Failure::Said(format!("an offset {problem}")))?;
    Ok(InboundRecord {
        offset,
        key: Bytes::copy_from_slice(message.key().unwrap_or_default()),
        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    })
}

/// Whether librdkafka goes on by itself: brokers that are away, or that moved the partition.
/// Such an error may also be left over from the time between two readings.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let KafkaError::MessageConsumption(code) = error else {
        return false;
    };
    !matches!(
        code,
        Code::AutoOffsetReset
            | Code::OffsetOutOfRange
            | Code::BadMessage
            | Code::MessageSizeTooLarge
            | Code::UnknownPartition
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::TopicAuthorizationFailed
            | Code::Fatal
    )
}

/// Reads through one consumer of its own.
#[derive(Component, Debug)]
#[shaku(interface = RecordReader)]
pub struct KafkaRecordReader {
    /// Who reads.
    #[shaku(default = unreachable!("the client is given by whoever builds the container"))]
    client: ReadingClient,
}

impl KafkaRecordReader {
    /// Reads through this client.
    #[must_use]
    pub const fn new(client: ReadingClient) -> Self {
        Self { client }
    }
}

#[async_trait]
impl RecordReader for KafkaRecordReader {
    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        until: Offset,
        records_max: usize,
    ) -> Result<Vec<InboundRecord>, BrokerError> {
        let wanted = Stretch {
            from: from.value(),
            until: until.value(),
            records_max,
        };
        let reading = Arc::clone(&self.client.consumer).lock_owned().await;
        let topic = self.client.settings.events_topic.clone();
        // A caller that stops waiting leaves the reading to its end, which is bounded.
        tokio::task::spawn_blocking(move || reading.read(&topic, partition, &wanted))
            .await
            .map_err(|error| self.client.unavailable(&error))?
            .map_err(|failure| self.client.unavailable(&failure))
    }
}
