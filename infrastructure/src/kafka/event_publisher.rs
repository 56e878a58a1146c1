//! Publishing in order, without a gap.
//!
//! | property | why |
//! |---|---|
//! | `enable.idempotence` | a retry neither doubles a record nor overtakes another |
//! | `enable.gapless.guarantee`, of the API's | when a batch is refused for good, nothing after it is published; librdkafka notes once a producer that it is experimental |
//! | `acks=all` | a record that was reported survives a broker |
//! | `message.timeout.ms=0` | callers have deadlines, records don't: a timeout would make a gap |
//! | `retries` at its most | a broker that refuses for long loses no record |
//! | `topic.metadata.propagation.max.ms` | a topic that is not there yet is waited for |
//! | `topic.metadata.refresh.interval.ms` | partitions that a raise has added are soon known |
//!
//! After a failure of the API's producer nothing more is published to the partition it hit, or at
//! all when librdkafka says that the failure is fatal: what follows a lost record must not take
//! effect before it. `renew` then makes a fresh producer, once every report of the failed one is
//! in. What the failed one had on the wire may still be written, but the brokers take the batches
//! of a partition in their sequence only, so nothing is written whose predecessor is missing.
//!
//! The relay's producer goes on after a failed record, and replaces itself when it is fatal.

use super::deliveries::Deliveries;
use super::settings::{AfterFailure, KafkaSettings, ProducerSettings};
use async_trait::async_trait;
use axs_application::port::event_publisher::{
    Delivery, EventPublisher, OutboundRecord, PublishError,
};
use axs_kafka::{KafkaSettingsError, Property};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, PurgeConfig, ThreadedProducer};
use shaku::Component;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Records wait this long for others to travel with. Group commit hands them over in bulk, so
/// that waiting longer gains nothing.
const LINGER: Duration = Duration::from_millis(1);

/// Requests under way to one broker; the most that idempotence keeps in order.
const IN_FLIGHT_MAX: u8 = 5;

/// How long a topic that the brokers don't know is waited for. librdkafka counts it in microseconds
/// of 32 bits: 35 minutes and more overflow, and are then no wait at all.
const UNKNOWN_TOPIC_WAIT: Duration = Duration::from_mins(30);

/// How long a partition that was added to the topic may stay unknown: records for it are refused as
/// long.
const METADATA_AGE_MAX: Duration = Duration::from_secs(5);

/// librdkafka counts a record until a little after its delivery was reported, with up to a whole
/// queue of records reported at once. Room for two queues keeps the promise of the settings to who
/// counts by reports.
const QUEUE_ROOM_FACTOR: u32 = 2;

/// Cheap to undo and to do; halves the bytes of typical events.
const COMPRESSION: &str = "lz4";

/// How long the reports of purged records may take: they come from this process alone.
const PURGE_WAIT_MAX: Duration = Duration::from_secs(5);

/// How many times the reports of a replaced producer are waited for.
const END_TRIES_MAX: usize = 60;

/// The shortest life of a producer that replaces itself.
const REPLACED_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// A producer for the events topic. Cheap to clone; one queue and one connection for all clones.
///
/// Dropping the last clone gives up what is still queued, so flush before, and may block the
/// thread for about half a second.
#[derive(Clone)]
pub struct EventProducer(Arc<Shared>);

struct Shared {
    topic: String,
    config: ClientConfig,
    after_failure: AfterFailure,
    /// Read to enqueue, written to begin anew: nothing is enqueued while that happens.
    current: RwLock<Current>,
}

#[derive(Clone)]
struct Current {
    producer: ThreadedProducer<Deliveries>,
    made_at: Instant,
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
        let connection = &kafka.connection;
        let config = connection.client_config(&producer_properties(settings))?;
        let current = make(&config, settings.after_failure).map_err(|e| connection.refused(&e))?;
        Ok(Self(Arc::new(Shared {
            topic: kafka.events_topic.clone(),
            config,
            after_failure: settings.after_failure,
            current: RwLock::new(current),
        })))
    }

    fn enqueue(&self, record: &OutboundRecord) -> Result<Delivery, PublishError> {
        let enqueued = self.0.enqueue(record);
        if self.0.after_failure == AfterFailure::GoOn
            && let Err(PublishError::Failed(_)) = enqueued
            && self.0.replace_if_fatal()?
        {
            return self.0.enqueue(record);
        }
        enqueued
    }
}

fn make(config: &ClientConfig, after_failure: AfterFailure) -> KafkaResult<Current> {
    Ok(Current {
        producer: config.create_with_context(Deliveries::new(after_failure))?,
        made_at: Instant::now(),
    })
}

impl Shared {
    fn current(&self) -> Current {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn enqueue(&self, record: &OutboundRecord) -> Result<Delivery, PublishError> {
        let current = self.current.read();
        let Current { producer, .. } = &*current.unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = producer.context().failure(record.partition) {
            return Err(PublishError::Failed(reason));
        }
        let (report, delivery) = Delivery::pending();
        let key = record.account_id.value().to_string();
        let outbound = BaseRecord::with_opaque_to(&self.topic, Box::new(report))
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

    /// See [`EventPublisher::renew`]. Blocks.
    fn renew(&self) -> Result<(), PublishError> {
        let failed = {
            // Whoever is enqueueing is done with it once this lock is had.
            let current = self.current.write();
            let current = current.unwrap_or_else(PoisonError::into_inner);
            current.producer.context().close();
            current.producer.clone()
        };
        failed.purge(PurgeConfig::default().queue().inflight());
        failed
            .flush(PURGE_WAIT_MAX)
            .map_err(|error| PublishError::Failed(format!("its records are not back: {error}")))?;
        self.replace()
    }

    fn replace(&self) -> Result<(), PublishError> {
        let fresh = make(&self.config, self.after_failure)
            .map_err(|error| PublishError::Failed(error.to_string()))?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let replaced = std::mem::replace(&mut *current, fresh);
        drop(current);
        std::thread::spawn(move || end(&replaced.producer));
        Ok(())
    }

    /// Whether there is a fresh producer now. The reports of what the fatal one still held come
    /// soon.
    fn replace_if_fatal(&self) -> Result<bool, PublishError> {
        let current = self.current();
        let fatal = current.producer.client().fatal_error();
        if fatal.is_none() || current.made_at.elapsed() < REPLACED_AT_MOST_EVERY {
            return Ok(false);
        }
        // Whoever drops a producer last waits for its end.
        drop(current);
        tracing::warn!(?fatal, "the relay's producer is replaced");
        metrics::counter!("axs_publish_renewals_total").increment(1);
        self.replace()?;
        Ok(true)
    }
}

/// Ends a producer once what it still held is reported: whoever waits for a report would wait for
/// ever. Blocks, and so does the drop of the last clone.
fn end(producer: &ThreadedProducer<Deliveries>) {
    producer.purge(PurgeConfig::default().queue().inflight());
    for _ in 0..END_TRIES_MAX {
        if producer.flush(PURGE_WAIT_MAX).is_ok() {
            return;
        }
        tracing::warn!("a replaced producer still holds records");
    }
}

/// Makes a batch that is refused for good a fatal error. Its default is not to.
pub(super) const GAPLESS: &str = "enable.gapless.guarantee";

/// What the producer sets besides what all clients share.
pub(super) fn producer_properties(settings: ProducerSettings) -> Vec<Property> {
    let room = |asked: u32| asked.saturating_mul(QUEUE_ROOM_FACTOR).to_string();
    let mut properties = vec![
        ("enable.idempotence", "true".into()),
        ("acks", "all".into()),
        ("message.timeout.ms", "0".into()),
        ("retries", i32::MAX.to_string()),
        (
            "topic.metadata.propagation.max.ms",
            UNKNOWN_TOPIC_WAIT.as_millis().to_string(),
        ),
        (
            "topic.metadata.refresh.interval.ms",
            METADATA_AGE_MAX.as_millis().to_string(),
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
    ];
    // Where it is set at all, librdkafka warns that it is experimental.
    if settings.after_failure == AfterFailure::ClosePartition {
        properties.push((GAPLESS, "true".into()));
    }
    properties
}

impl fmt::Debug for EventProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventProducer")
            .field("topic", &self.0.topic)
            .finish_non_exhaustive()
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
        self.producer.enqueue(&record)
    }

    async fn renew(&self) -> Result<(), PublishError> {
        let shared = Arc::clone(&self.producer.0);
        tokio::task::spawn_blocking(move || shared.renew())
            .await
            .unwrap_or_else(|died| Err(PublishError::Failed(died.to_string())))
    }

    async fn flush(&self, timeout: Duration) -> bool {
        let producer = self.producer.0.current().producer;
        tokio::task::spawn_blocking(move || {
            producer.flush(timeout).is_ok() && !producer.context().has_failed()
        })
        .await
        .unwrap_or(false)
    }
}
