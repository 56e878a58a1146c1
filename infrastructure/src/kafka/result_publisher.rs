//! Publishing results, in order.
//!
//! The producer is made like that of events, on a topic and a queue of its own: a result topic
//! that is away must not take room from the events.

use super::event_publisher::{EventProducer, KafkaEventPublisher};
use async_trait::async_trait;
use axs_application::port::event_publisher::{
    Delivery, EventPublisher, OutboundRecord, PublishError,
};
use axs_application::port::result_codec::{FinishedEvent, ResultCodec};
use axs_application::port::result_publisher::ResultPublisher;
use shaku::Component;
use std::sync::Arc;
use std::time::Duration;

/// Publishes through one idempotent producer, made on the result topic.
#[derive(Component)]
#[shaku(interface = ResultPublisher)]
pub struct KafkaResultPublisher {
    #[shaku(inject)]
    codec: Arc<dyn ResultCodec>,
    /// The producer. Goes on after a failure: the caller repeats from there.
    #[shaku(default = unreachable!("the producer is given by whoever builds the container"))]
    producer: EventProducer,
}

impl KafkaResultPublisher {
    /// Publishes through this producer.
    #[must_use]
    pub fn new(codec: Arc<dyn ResultCodec>, producer: EventProducer) -> Self {
        Self { codec, producer }
    }

    fn records(&self) -> KafkaEventPublisher {
        KafkaEventPublisher::new(self.producer.clone())
    }
}

#[async_trait]
impl ResultPublisher for KafkaResultPublisher {
    fn enqueue(&self, finished: &FinishedEvent) -> Result<Delivery, PublishError> {
        self.records().enqueue(OutboundRecord {
            partition: finished.partition,
            account_id: finished.event.account_id(),
            payload: self.codec.encode(finished),
        })
    }

    async fn flush(&self, timeout: Duration) -> bool {
        self.records().flush(timeout).await
    }
}
