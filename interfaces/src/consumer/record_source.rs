//! The port of the leaders' records.

use super::client_log::ClientLog;
use super::fault;
use super::reader::{BOUNDS_TIMEOUT, Command, Reader, SharedConsumer};
use super::settings::RecordSourceSettings;
use super::waker::Waker;
use async_trait::async_trait;
use axs_application::port::record_source::{RecordSource, SourceError, SourceEvent};
use axs_domain::id::{Offset, PartitionId};
use axs_kafka::{KafkaSettingsError, log_bounds};
use rdkafka::consumer::BaseConsumer;
use shaku::Component;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Commands that wait for the thread. Callers beyond it wait in line.
const COMMANDS_MAX: usize = 64;

/// The name of the thread, as people and tools see it.
const THREAD_NAME: &str = "record-reader";

/// The end through which the reading thread is told what to do. Cheap to clone.
///
/// When the last clone is dropped the thread leaves all partitions and ends by itself; dropping
/// never blocks.
#[derive(Clone)]
pub struct RecordReader {
    topic: Arc<str>,
    brokers: Arc<str>,
    commands: mpsc::Sender<Command>,
    /// Only the thread owns the consumer, since dropping it may block.
    consumer: Weak<BaseConsumer<ClientLog>>,
}

impl fmt::Debug for RecordReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordReader")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl RecordReader {
    /// Starts the thread. Needs no live broker.
    ///
    /// # Errors
    /// [`KafkaSettingsError`] when the settings set what is set here, when librdkafka
    /// refuses them, or when the system refuses the thread.
    pub fn start(settings: &RecordSourceSettings) -> Result<Self, KafkaSettingsError> {
        let kafka = &settings.connection;
        let consumer: BaseConsumer<ClientLog> = settings
            .client_config()?
            .create_with_context(ClientLog)
            .map_err(|error| kafka.refused(&error))?;
        let consumer = SharedConsumer::new(consumer);
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let handle = Self {
            topic: settings.events_topic.as_str().into(),
            brokers: kafka.brokers.as_str().into(),
            commands: sender,
            consumer: Arc::downgrade(&consumer),
        };
        let waker = Waker::start(Arc::downgrade(&consumer), settings.events_topic.clone())
            .map_err(|error| kafka.refused(&error))?;
        let reader = Reader::new(
            consumer,
            waker,
            settings.events_topic.clone(),
            settings.waiting_batches_max,
            commands,
        );
        std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || reader.run())
            .map_err(|error| kafka.refused(&error))?;
        Ok(handle)
    }

    /// Leaves all partitions, which ends their channels, and ends the thread; `false` when the
    /// time ends first.
    pub async fn stop(&self, timeout: Duration) -> bool {
        let (reply, stopped) = oneshot::channel();
        let stopping = async {
            // A thread that has ended has left everything.
            if self.commands.send(Command::Stop { reply }).await.is_ok() {
                let _ = stopped.await;
            }
        };
        tokio::time::timeout(timeout, stopping).await.is_ok()
    }

    /// Resolves when the thread has ended, told to or not. Nothing can be read any more then.
    pub async fn ended(&self) {
        self.commands.closed().await;
    }

    async fn tell<T>(
        &self,
        partition: PartitionId,
        command: impl FnOnce(oneshot::Sender<Result<T, SourceError>>) -> Command,
    ) -> Result<T, SourceError> {
        let (reply, told) = oneshot::channel();
        let ended = || SourceError {
            partition,
            reason: "the reader has ended".to_owned(),
        };
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| ended())?;
        told.await.map_err(|_| ended())?
    }

    /// The bounds of a partition's log, asked on a thread that may block.
    async fn bounds(&self, partition: PartitionId) -> Result<(i64, i64), SourceError> {
        let unreadable = |reason: &dyn fmt::Display| SourceError {
            partition,
            reason: format!("{reason} (topic {} at {})", self.topic, self.brokers),
        };
        let (consumer, topic) = (Weak::clone(&self.consumer), Arc::clone(&self.topic));
        tokio::task::spawn_blocking(move || {
            let consumer = consumer.upgrade()?;
            Some(log_bounds(&consumer, &topic, partition, BOUNDS_TIMEOUT))
        })
        .await
        .map_err(|error| unreadable(&error))?
        .ok_or_else(|| unreadable(&"the reader has ended"))?
        .map_err(|error| unreadable(&error))
    }
}

/// Reads through one librdkafka consumer on a thread of its own.
#[derive(Component, Debug)]
#[shaku(interface = RecordSource)]
pub struct KafkaRecordSource {
    /// The thread.
    #[shaku(default = unreachable!("the reader is given by whoever builds the container"))]
    reader: RecordReader,
}

impl KafkaRecordSource {
    /// Reads through this thread.
    #[must_use]
    pub const fn new(reader: RecordReader) -> Self {
        Self { reader }
    }
}

#[async_trait]
impl RecordSource for KafkaRecordSource {
    /// The bounds are asked first: an error of librdkafka would name no partition, and one that
    /// the topic does not have would break all.
    async fn assign(
        &self,
        partition: PartitionId,
        from: Offset,
    ) -> Result<mpsc::Receiver<SourceEvent>, SourceError> {
        let (start, end) = self.reader.bounds(partition).await?;
        if let Some(reason) = fault::outside(from.value(), start, end) {
            // An earlier assignment of the partition ends as it would if this one were read.
            self.unassign(partition).await?;
            let (sender, events) = mpsc::channel(1);
            let _ = sender.try_send(SourceEvent::Broken(reason));
            return Ok(events);
        }
        self.reader
            .tell(partition, |reply| Command::Assign {
                partition,
                from,
                reply,
            })
            .await
    }

    async fn unassign(&self, partition: PartitionId) -> Result<(), SourceError> {
        self.reader
            .tell(partition, |reply| Command::Unassign { partition, reply })
            .await
    }
}
