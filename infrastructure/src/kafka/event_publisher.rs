//! Publishing in order, without a gap.
//!
//! | property | why |
//! |---|---|
//! | `enable.idempotence` | a retry neither doubles a record nor overtakes another |
//! | `enable.gapless.guarantee` | when a batch is refused for good, nothing after it is published |
//! | `acks=all` | a record that was reported survives a broker |
//! | `message.timeout.ms=0` | callers have deadlines, records don't: a timeout would make a gap |
//! | `retries` at its most | a broker that refuses for long loses no record |
//! | `topic.metadata.propagation.max.ms` | a topic that is not there yet is waited for |
//!
//! After a failure nothing more is published to the partition it hit, or at all when librdkafka
//! says that the failure is fatal: what follows a lost record must not take effect before it. The
//! log has what was not published, and the relay publishes it.

use super::client_log::ClientLog;
use super::own_properties::{Property, client_config};
use super::settings::{AfterFailure, KafkaSettings, KafkaSettingsError, ProducerSettings};
use async_trait::async_trait;
use axs_application::port::event_publisher::{
    Delivery, EventPublisher, OutboundRecord, PublishError,
};
use axs_domain::id::{Offset, PartitionId};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Message};
use shaku::Component;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Records wait this long for others to travel with. Group commit hands them over in bulk, so
/// that waiting longer gains nothing.
const LINGER: Duration = Duration::from_millis(2);

/// Requests under way to one broker; the most that idempotence keeps in order.
const IN_FLIGHT_MAX: u8 = 5;

/// How long a topic that the brokers don't know is waited for. librdkafka counts it in microseconds
/// of 32 bits: 35 minutes and more overflow, and are then no wait at all.
const UNKNOWN_TOPIC_WAIT: Duration = Duration::from_mins(30);

/// librdkafka counts a record until a little after its delivery was reported, with up to a whole
/// queue of records reported at once. Room for two queues keeps the promise of the settings to who
/// counts by reports.
const QUEUE_ROOM_FACTOR: u32 = 2;

/// Cheap to undo and to do; halves the bytes of typical events.
const COMPRESSION: &str = "lz4";

type Report = oneshot::Sender<Result<Option<Offset>, PublishError>>;

/// A producer for the events topic. Cheap to clone; one queue and one connection for all clones.
///
/// Dropping the last clone gives up what is still queued, so flush before, and may block the
/// thread for about half a second.
#[derive(Clone)]
pub struct EventProducer {
    topic: Arc<str>,
    producer: ThreadedProducer<Deliveries>,
}

impl EventProducer {
    /// A producer for these settings. Needs no live broker.
    ///
    /// # Errors
    /// [`KafkaSettingsError`] when they set what is set here, or when librdkafka refuses them.
    pub fn try_new(
        kafka: &KafkaSettings,
        settings: ProducerSettings,
    ) -> Result<Self, KafkaSettingsError> {
        let producer = client_config(kafka, &producer_properties(settings))?
            .create_with_context(Deliveries::new(settings.after_failure))
            .map_err(|error| kafka.refused(&error))?;
        Ok(Self {
            topic: kafka.events_topic.as_str().into(),
            producer,
        })
    }
}

/// What the producer sets besides what all clients share.
pub(super) fn producer_properties(settings: ProducerSettings) -> [Property; 11] {
    let room = |asked: u32| asked.saturating_mul(QUEUE_ROOM_FACTOR).to_string();
    [
        ("enable.idempotence", "true".into()),
        (
            "enable.gapless.guarantee",
            (settings.after_failure == AfterFailure::ClosePartition).to_string(),
        ),
        ("acks", "all".into()),
        ("message.timeout.ms", "0".into()),
        ("retries", i32::MAX.to_string()),
        (
            "topic.metadata.propagation.max.ms",
            UNKNOWN_TOPIC_WAIT.as_millis().to_string(),
        ),
        (
            "max.in.flight.requests.per.connection",
            IN_FLIGHT_MAX.to_string(),
        ),
        ("compression.codec", COMPRESSION.into()),
        ("linger.ms", LINGER.as_millis().to_string()),
        (
            "queue.buffering.max.messages",
            room(settings.queue_records_max),
        ),
        ("queue.buffering.max.kbytes", room(settings.queue_kib_max)),
    ]
}

impl fmt::Debug for EventProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventProducer")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// Passes delivery reports on, and remembers where one failed.
struct Deliveries {
    after_failure: AfterFailure,
    any_failed: AtomicBool,
    failed: Mutex<HashMap<i32, String>>,
}

impl Deliveries {
    fn new(after_failure: AfterFailure) -> Self {
        Self {
            after_failure,
            any_failed: AtomicBool::new(false),
            failed: Mutex::default(),
        }
    }

    /// Why nothing more may be published to the partition.
    fn failure(&self, partition: PartitionId) -> Option<String> {
        // The map is looked at only once something failed: this is the hot path.
        if !self.any_failed.load(Ordering::Acquire) {
            return None;
        }
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(&partition.value()).cloned()
    }

    fn remember(&self, partition: i32, reason: &str) {
        if self.after_failure == AfterFailure::GoOn {
            tracing::warn!(
                partition,
                reason,
                "a record was not delivered; the next round repeats it"
            );
            metrics::counter!("axs_publish_failures_total").increment(1);
            return;
        }
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.entry(partition).or_insert_with(|| {
            tracing::error!(
                partition,
                reason,
                "publishing failed; what follows stays in the log for the relay"
            );
            metrics::counter!("axs_publish_failures_total").increment(1);
            reason.to_owned()
        });
        self.any_failed.store(true, Ordering::Release);
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        ClientLog.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        ClientLog.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Report>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Self::DeliveryOpaque) {
        let outcome = match result {
            // A retry that the broker recognised comes back without an offset.
            Ok(record) => Ok(Offset::try_new(record.offset()).ok()),
            Err((error, record)) => {
                let reason = error.to_string();
                self.remember(record.partition(), &reason);
                Err(PublishError::Failed(reason))
            }
        };
        // Whoever asked may have stopped waiting.
        let _ = report.send(outcome);
    }
}

/// Publishes through one idempotent producer.
#[derive(Component, Debug)]
#[shaku(interface = EventPublisher)]
pub struct KafkaEventPublisher {
    /// The producer.
    #[shaku(default = unreachable!("the producer is given by whoever builds the container"))]
    producer: EventProducer,
}

impl KafkaEventPublisher {
    /// Publishes through this producer.
    #[must_use]
    pub const fn new(producer: EventProducer) -> Self {
        Self { producer }
    }
}

#[async_trait]
impl EventPublisher for KafkaEventPublisher {
    fn enqueue(&self, record: OutboundRecord) -> Result<Delivery, PublishError> {
        let EventProducer { topic, producer } = &self.producer;
        if let Some(reason) = producer.context().failure(record.partition) {
            return Err(PublishError::Failed(reason));
        }
        let (report, delivery) = Delivery::pending();
        let key = record.account_id.value().to_string();
        let outbound = BaseRecord::with_opaque_to(topic, Box::new(report))
            .partition(record.partition.value())
            .key(key.as_bytes())
            .payload(record.payload.as_ref());
        match producer.send(outbound) {
            Ok(()) => Ok(delivery),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                Err(PublishError::QueueFull)
            }
            Err((error, _)) => Err(PublishError::Failed(error.to_string())),
        }
    }

    async fn flush(&self, timeout: Duration) -> bool {
        let producer = self.producer.producer.clone();
        tokio::task::spawn_blocking(move || {
            producer.flush(timeout).is_ok()
                && !producer.context().any_failed.load(Ordering::Acquire)
        })
        .await
        .unwrap_or(false)
    }
}
