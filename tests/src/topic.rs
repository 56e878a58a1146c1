//! A topic of one test's own: made where the broker can't, written to behind AXS's back, dropped.

use crate::deadline::{Look, Patience, until};
use crate::server::{KafkaKind, Servers};
use anyhow::{Context, Result, bail, ensure};
use prost::Message;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One question to the broker.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Between two questions to a broker that does not serve a partition yet.
const LEADER_PAUSE: Duration = Duration::from_millis(100);

/// Where the id of the producer stands in a record batch of Kafka's log, and its length.
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_ID_LENGTH: usize = 8;

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Vec<u8>,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// A topic that is dropped with its test.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name.
    pub name: String,
    brokers: String,
    kind: KafkaKind,
    mock_control: Option<String>,
    kafka_folder: Option<PathBuf>,
}

impl Topic {
    /// Names a topic; makes nothing.
    #[must_use]
    pub fn named(servers: &Servers, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            brokers: servers.brokers.clone(),
            kind: servers.kafka,
            mock_control: servers.mock_control.clone(),
            kafka_folder: servers.kafka_folder.clone(),
        }
    }

    /// Makes the topic where the broker knows no administration. Apache Kafka's is made by
    /// `bootstrap layout init`.
    ///
    /// # Errors
    /// The mock broker is away or refuses.
    pub async fn prepare(&self, partitions: usize) -> Result<()> {
        if self.kind == KafkaKind::Apache {
            return Ok(());
        }
        let control = self
            .mock_control
            .as_deref()
            .context("AXS_TEST_KAFKA_CONTROL is not set, so the mock broker can make no topic")?;
        let mut stream = TcpStream::connect(control)
            .await
            .context("the mock broker")?;
        let request = format!("create {} {partitions}\n", self.name);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(
            matches!(answer.trim(), "created" | "exists"),
            "the mock broker: {answer}"
        );
        Ok(())
    }

    /// Drops the topic.
    ///
    /// # Errors
    /// The broker is away.
    pub async fn remove(&self) -> Result<()> {
        if self.kind == KafkaKind::Mock {
            return Ok(());
        }
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        admin
            .delete_topics(
                &[&self.name],
                &AdminOptions::new().operation_timeout(Some(TIMEOUT)),
            )
            .await?;
        Ok(())
    }

    /// Makes the topic anew, behind AXS's back, once the broker has let go of the old one.
    ///
    /// # Errors
    /// The broker is away, or does not make it in time.
    pub async fn make(&self, partitions: i32) -> Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.client().create()?;
        let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
        let topic = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        until(
            "the topic to be made anew",
            Patience::of(TIMEOUT),
            async || {
                let made = admin.create_topics([&topic], &options).await?;
                Ok(match made.into_iter().next() {
                    Some(Ok(_)) => Look::There(()),
                    other => Look::NotYet(format!("{other:?}")),
                })
            },
        )
        .await
    }

    /// Writes a record straight to a partition and gives its offset.
    ///
    /// # Errors
    /// The broker is away or refuses.
    pub async fn write(&self, partition: i32, key: &str, payload: &[u8]) -> Result<i64> {
        let offsets = self.write_all(partition, key, &[payload]).await?;
        offsets.into_iter().next().context("no offset")
    }

    /// Writes records straight to a partition, one behind the other, and gives their offsets.
    ///
    /// # Errors
    /// The broker is away or refuses.
    pub async fn write_all(
        &self,
        partition: i32,
        key: &str,
        payloads: &[&[u8]],
    ) -> Result<Vec<i64>> {
        let producer: FutureProducer = self
            .client()
            .set("enable.idempotence", "true")
            .set("linger.ms", "20")
            .create()?;
        let reports = payloads.iter().map(|payload| {
            let record = FutureRecord::to(&self.name)
                .partition(partition)
                .key(key)
                .payload(*payload);
            producer.send(record, TIMEOUT)
        });
        let mut offsets = Vec::with_capacity(payloads.len());
        for report in futures::future::join_all(reports).await {
            match report {
                Ok((_, offset)) => offsets.push(offset),
                Err((error, _)) => bail!("writing to {}: {error}", self.name),
            }
        }
        Ok(offsets)
    }

    /// The same for a protobuf message.
    ///
    /// # Errors
    /// The broker is away or refuses.
    pub async fn write_message(
        &self,
        partition: i32,
        key: &str,
        message: &impl Message,
    ) -> Result<i64> {
        self.write(partition, key, &message.encode_to_vec()).await
    }

    /// The payload of the record at an offset.
    ///
    /// # Errors
    /// The broker is away, or has no such record.
    pub async fn read(&self, partition: i32, offset: i64) -> Result<Vec<u8>> {
        let topic = self.clone();
        tokio::task::spawn_blocking(move || topic.read_blocking(partition, offset)).await?
    }

    fn read_blocking(&self, partition: i32, offset: i64) -> Result<Vec<u8>> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", format!("{}-reader", self.name))
            .set("enable.auto.commit", "false")
            .create()?;
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, rdkafka::Offset::Offset(offset))?;
        consumer.assign(&list)?;
        let record = consumer
            .poll(TIMEOUT)
            .with_context(|| format!("no record at {partition}/{offset}"))??;
        let payload = rdkafka::Message::payload(&record)
            .unwrap_or_default()
            .to_vec();
        Ok(payload)
    }

    /// The keys and payloads of a partition's records that are there now, in their order.
    ///
    /// # Errors
    /// The broker is away, or the records don't come in time.
    pub async fn read_all(&self, partition: i32) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let topic = self.clone();
        let records =
            tokio::task::spawn_blocking(move || topic.read_partition(partition)).await??;
        Ok(records
            .into_iter()
            .map(|record| (record.key, record.payload))
            .collect())
    }

    /// The records of the first so many partitions that are there now, each partition's in their
    /// order.
    ///
    /// # Errors
    /// The broker is away, or the records don't come in time.
    pub async fn records_of(&self, partitions: usize) -> Result<Vec<Record>> {
        let topic = self.clone();
        tokio::task::spawn_blocking(move || {
            let mut records = Vec::new();
            for partition in 0..i32::try_from(partitions)? {
                records.extend(topic.read_partition(partition)?);
            }
            Ok(records)
        })
        .await?
    }

    fn read_partition(&self, partition: i32) -> Result<Vec<Record>> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", format!("{}-reader", self.name))
            .set("enable.auto.commit", "false")
            .create()?;
        let (start, end) = self.bounds(&consumer, partition)?;
        let mut records = Vec::new();
        if start == end {
            return Ok(records);
        }
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, rdkafka::Offset::Offset(start))?;
        consumer.assign(&list)?;
        let mut next = start;
        let mut deadline = Instant::now() + TIMEOUT;
        while next < end {
            let left = deadline.saturating_duration_since(Instant::now());
            let record = match consumer.poll(left) {
                Some(Ok(record)) => record,
                // The library goes on by itself once the broker serves the partition.
                Some(Err(_)) if !left.is_zero() => continue,
                Some(Err(error)) => return Err(error.into()),
                None => bail!("no record at {partition}/{next} of {}", self.name),
            };
            deadline = Instant::now() + TIMEOUT;
            let offset = rdkafka::Message::offset(&record);
            let bytes = |bytes: Option<&[u8]>| bytes.unwrap_or_default().to_vec();
            records.push(Record {
                partition,
                offset,
                key: bytes(rdkafka::Message::key(&record)),
                payload: bytes(rdkafka::Message::payload(&record)),
            });
            next = offset + 1;
        }
        Ok(records)
    }

    /// The bounds of a partition's log. A broker that has just come back names itself the leader of
    /// partitions that it does not serve yet.
    fn bounds(&self, consumer: &BaseConsumer, partition: i32) -> Result<(i64, i64)> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match consumer.fetch_watermarks(&self.name, partition, TIMEOUT) {
                Ok(bounds) => return Ok(bounds),
                Err(KafkaError::MetadataFetch(RDKafkaErrorCode::NotLeaderForPartition))
                    if Instant::now() < deadline =>
                {
                    std::thread::sleep(LEADER_PAUSE);
                    consumer.fetch_metadata(Some(&self.name), TIMEOUT)?;
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("{}/{partition}", self.name));
                }
            }
        }
    }

    /// How many partitions the broker says the topic has; 0 when it has no such topic.
    ///
    /// # Errors
    /// The broker is away.
    pub async fn partition_count(&self) -> Result<usize> {
        let topic = self.clone();
        tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = topic.client().create()?;
            let metadata = consumer.fetch_metadata(Some(&topic.name), TIMEOUT)?;
            let found = metadata.topics().iter().find(|it| it.name() == topic.name);
            Ok(found.map_or(0, |it| it.partitions().len()))
        })
        .await?
    }

    /// Whether the first batch in a partition's log was written by an idempotent producer, which
    /// Kafka admits with acks=all only. `None` when the log's files can't be seen or are empty.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn first_batch_is_idempotent(&self, partition: i32) -> Result<Option<bool>> {
        let Some(folder) = &self.kafka_folder else {
            return Ok(None);
        };
        let segment = folder
            .join(format!("{}-{partition}", self.name))
            .join("00000000000000000000.log");
        if !segment.exists() {
            return Ok(None);
        }
        let batch = fs::read(&segment)?;
        let id = batch
            .get(PRODUCER_ID_AT..PRODUCER_ID_AT + PRODUCER_ID_LENGTH)
            .and_then(|bytes| bytes.try_into().ok())
            .map(i64::from_be_bytes);
        Ok(id.map(|id| id >= 0))
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("allow.auto.create.topics", "false");
        config
    }
}
