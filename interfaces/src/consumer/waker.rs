//! Wakes librdkafka when a partition was resumed.
//!
//! Its thread for a broker sleeps for up to a second while every partition there is paused, and a
//! resumption does not wake it (librdkafka 2.3, `rd_kafka_toppar_pause_resume` and
//! `rd_kafka_broker_consumer_serve`). A question to the partition's leader does; what is answered
//! is not needed.
//!
//! It is asked on a thread of its own, since whoever reads must not wait for the answer.

use super::client_log::ClientLog;
use axs_domain::id::PartitionId;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

/// Resumed partitions that wait for their turn. Beyond it librdkafka finds them by itself, later.
const WAITING_MAX: usize = 64;

/// How long an answer is waited for. librdkafka cuts the connection on which a request expired, and
/// the answer comes behind that of a fetch, which may be long: so no sooner than a fetch expires
/// (`socket.timeout.ms`, 60 s unless set).
const ANSWER_WAIT_MAX: Duration = Duration::from_mins(2);

/// The name of the thread, as people and tools see it.
const THREAD_NAME: &str = "resume-waker";

/// The end through which the thread is told; dropping it ends the thread.
pub(super) struct Waker {
    resumed: SyncSender<PartitionId>,
    stopped: Arc<AtomicBool>,
}

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
        let stopped = Arc::new(AtomicBool::new(false));
        let questions = Questions {
            consumer,
            topic,
            waiting,
            stopped: Arc::clone(&stopped),
        };
        thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || questions.ask_all())?;
        Ok(Self { resumed, stopped })
    }

    /// Makes librdkafka look at the partition. Never waits.
    pub(super) fn wake(&self, partition: PartitionId) {
        // Full, or the thread is gone: it is found a little later.
        let _ = self.resumed.try_send(partition);
    }

    /// No question begins any more; one may still be under way.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

/// What the thread works on.
struct Questions {
    consumer: Weak<BaseConsumer<ClientLog>>,
    topic: String,
    waiting: Receiver<PartitionId>,
    stopped: Arc<AtomicBool>,
}

impl Questions {
    /// Until the other end is dropped.
    fn ask_all(self) {
        for partition in &self.waiting {
            let Some(consumer) = self.consumer.upgrade() else {
                break;
            };
            // After the consumer is had: whoever stops counts those who have it.
            if self.stopped.load(Ordering::Acquire) {
                break;
            }
            let asked = consumer.fetch_watermarks(&self.topic, partition.value(), ANSWER_WAIT_MAX);
            if let Err(error) = asked {
                tracing::debug!(%partition, %error, "resumed without an answer");
                // Whoever was resumed meanwhile was found long ago.
                self.waiting.try_iter().for_each(drop);
            }
        }
    }
}
