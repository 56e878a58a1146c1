//! The delivery reports of one producer.

use super::client_log::ClientLog;
use super::event_publisher::GAPLESS;
use super::settings::AfterFailure;
use axs_application::port::event_publisher::PublishError;
use axs_domain::id::{Offset, PartitionId};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientContext, Message};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot;

/// Where the report of a record goes.
pub(super) type Report = oneshot::Sender<Result<Option<Offset>, PublishError>>;

/// Passes delivery reports on, and remembers where one failed.
pub(super) struct Deliveries {
    after_failure: AfterFailure,
    any_failed: AtomicBool,
    closed: AtomicBool,
    failed: Mutex<HashMap<i32, String>>,
}

impl Deliveries {
    pub(super) fn new(after_failure: AfterFailure) -> Self {
        Self {
            after_failure,
            any_failed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            failed: Mutex::default(),
        }
    }

    /// Why nothing more may be published to the partition.
    pub(super) fn failure(&self, partition: PartitionId) -> Option<String> {
        // The map is looked at only once something failed: this is the hot path.
        if !self.any_failed.load(Ordering::Acquire) {
            return None;
        }
        if self.closed.load(Ordering::Acquire) {
            return Some("the producer is being renewed".to_owned());
        }
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get(&partition.value()).cloned()
    }

    /// Whether anything failed, or was given up by a renewal.
    pub(super) fn has_failed(&self) -> bool {
        self.any_failed.load(Ordering::Acquire)
    }

    /// From now on nothing is taken for any partition.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.any_failed.store(true, Ordering::Release);
    }

    fn remember(&self, partition: i32, reason: &str) {
        // What a renewal purges is no news.
        if self.closed.load(Ordering::Acquire) {
            return;
        }
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
                "a record was not delivered; nothing follows it until publishing is renewed"
            );
            metrics::counter!("axs_publish_failures_total").increment(1);
            reason.to_owned()
        });
        self.any_failed.store(true, Ordering::Release);
    }
}

/// Whether librdkafka warns, as it does for each producer, that the property which the order of
/// what is published needs is experimental: nobody can do anything about it.
pub(super) fn is_expected(facility: &str, line: &str) -> bool {
    facility == "CONFWARN" && line.contains(GAPLESS)
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        let level = if is_expected(facility, line) {
            RDKafkaLogLevel::Debug
        } else {
            level
        };
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
