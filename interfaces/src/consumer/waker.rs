//! Wakes librdkafka when a partition was resumed.
//!
//! Its thread for a broker sleeps for up to a second while every partition there is paused, and a
//! resumption does not wake it (librdkafka 2.3, `rd_kafka_toppar_pause_resume` and
//! `rd_kafka_broker_consumer_serve`). A question to the partition's leader does; what is answered
//! is not needed.
//!
//! It is asked on a thread of its own, since whoever reads must not wait for the answer, and with
//! the patience of any question: librdkafka cuts the connection on which a request expired.

use super::client_log::ClientLog;
use super::reader::BOUNDS_TIMEOUT;
use axs_domain::id::PartitionId;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::io;
use std::sync::Weak;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

/// Resumed partitions that wait for their turn. Beyond it librdkafka finds them by itself, later.
const WAITING_MAX: usize = 64;

/// The name of the thread, as people and tools see it.
const THREAD_NAME: &str = "resume-waker";

/// The end through which the thread is told; dropping it ends the thread.
pub(super) struct Waker(SyncSender<PartitionId>);

impl Waker {
    /// Starts the thread. It keeps the consumer alive only while it asks.
    ///
    /// # Errors
    /// The system refuses the thread.
    pub(super) fn start(
        consumer: Weak<BaseConsumer<ClientLog>>,
        topic: String,
    ) -> io::Result<Self> {
        let (resumed, waiting) = sync_channel::<PartitionId>(WAITING_MAX);
        thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                for partition in waiting {
                    let Some(consumer) = consumer.upgrade() else {
                        break;
                    };
                    let asked =
                        consumer.fetch_watermarks(&topic, partition.value(), BOUNDS_TIMEOUT);
                    if let Err(error) = asked {
                        tracing::debug!(%partition, %error, "resumed without an answer");
                    }
                }
            })?;
        Ok(Self(resumed))
    }

    /// Makes librdkafka look at the partition. Never waits.
    pub(super) fn wake(&self, partition: PartitionId) {
        // Full, or the thread is gone: it is found a little later.
        let _ = self.0.try_send(partition);
    }
}
