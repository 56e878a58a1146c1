//! What the claims stand on: topics of one's own on the broker that `make test` names.

use axs_application::port::record_source::{InboundRecord, SourceEvent};
use axs_domain::id::{Offset, PartitionId};
use axs_interfaces::consumer::{KafkaRecordSource, RecordReader, RecordSourceSettings};
use axs_kafka::KafkaConnection;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, TopicPartitionList};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Far longer than a broker of a test needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough for what must not come to have come.
pub const QUIET: Duration = Duration::from_millis(500);

/// An address where nothing listens.
pub const NOWHERE: &str = "127.0.0.1:1";

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run the tests by `make test`"))
}

pub fn brokers() -> String {
    variable("AXS_TEST_KAFKA_BROKERS")
}

fn is_mock() -> bool {
    variable("AXS_TEST_KAFKA_KIND") == "mock"
}

/// Whether a claim that needs topic administration can't be tested; notes that it was skipped.
pub fn skipped(claim: &str) -> bool {
    if is_mock() {
        let mut skips = OpenOptions::new()
            .append(true)
            .create(true)
            .open(variable("AXS_TEST_SKIPS"))
            .unwrap();
        writeln!(
            skips,
            "{claim}\tthe mock broker knows no topic administration"
        )
        .unwrap();
    }
    is_mock()
}

fn unused_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("axs-t-{}-{count}-{}", std::process::id(), now.as_nanos())
}

pub fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .create()
        .unwrap()
}

fn producer() -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers())
        .set("enable.idempotence", "true")
        .create()
        .unwrap()
}

/// A topic of one test.
pub struct Topic {
    pub name: String,
    producer: BaseProducer,
}

impl Topic {
    pub async fn new(partitions: i32) -> Self {
        let name = unused_name();
        if is_mock() {
            let mut control = TcpStream::connect(variable("AXS_TEST_KAFKA_CONTROL")).unwrap();
            writeln!(control, "create {name} {partitions}").unwrap();
            let mut answer = String::new();
            BufReader::new(control).read_line(&mut answer).unwrap();
            assert_eq!(answer.trim(), "created");
        } else {
            let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
            let made = admin().create_topics([&topic], &AdminOptions::new()).await;
            assert!(made.unwrap()[0].is_ok());
        }
        Self {
            name,
            producer: producer(),
        }
    }

    /// The same topic, written to by a producer that has heard nothing of it yet.
    pub fn written_by_another(&self) -> Self {
        Self {
            name: self.name.clone(),
            producer: producer(),
        }
    }

    /// Writes records `numbers` to a partition, each with its number as payload.
    pub fn write(&self, partition: i32, numbers: std::ops::Range<i64>) {
        self.write_padded(partition, numbers, 0);
    }

    /// The same, with that many bytes more.
    pub fn write_padded(&self, partition: i32, numbers: std::ops::Range<i64>, padding: usize) {
        let padding = " ".repeat(padding);
        for number in numbers {
            let payload = format!("{number}{padding}");
            let mut record = BaseRecord::<[u8], str>::to(&self.name)
                .partition(partition)
                .payload(&payload);
            while let Err((error, again)) = self.producer.send(record) {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert_eq!(error, full);
                self.producer.poll(Duration::from_millis(10));
                record = again;
            }
        }
        self.producer.flush(PATIENCE).unwrap();
    }

    /// Drops the records before an offset.
    pub async fn drop_before(&self, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, rdkafka::Offset::Offset(before))
            .unwrap();
        admin()
            .delete_records(&list, &AdminOptions::new())
            .await
            .unwrap();
    }

    pub fn settings(&self) -> RecordSourceSettings {
        settings(&brokers(), &self.name)
    }

    /// A source whose channels hold two batches.
    pub fn source(&self) -> KafkaRecordSource {
        KafkaRecordSource::new(RecordReader::start(&self.settings()).unwrap())
    }
}

pub fn settings(brokers: &str, topic: &str) -> RecordSourceSettings {
    RecordSourceSettings {
        connection: KafkaConnection {
            brokers: brokers.to_owned(),
            client_id: "axs-test".to_owned(),
            properties: BTreeMap::new(),
        },
        events_topic: topic.to_owned(),
        group_id: "axs-test".to_owned(),
        waiting_batches_max: 2,
    }
}

pub fn partition(number: i32) -> PartitionId {
    PartitionId::try_new(number).unwrap()
}

pub fn offset(value: i64) -> Offset {
    Offset::try_new(value).unwrap()
}

/// One channel, read and checked as it comes.
pub struct Read {
    events: mpsc::Receiver<SourceEvent>,
    next: i64,
}

impl Read {
    pub const fn new(events: mpsc::Receiver<SourceEvent>, from: i64) -> Self {
        Self { events, next: from }
    }

    /// The next records, or why there are none.
    pub async fn event(&mut self) -> Result<Vec<InboundRecord>, String> {
        let event = timeout(PATIENCE, self.events.recv()).await;
        match event.expect("nothing comes").expect("the channel ended") {
            SourceEvent::Records(records) => Ok(records),
            SourceEvent::Broken(reason) => Err(reason),
        }
    }

    /// Reads what comes next: every record once, in order, none left out, each with its bytes.
    pub async fn one_event(&mut self) {
        let records = self.event().await.expect("broken");
        assert!(!records.is_empty());
        for record in records {
            assert_eq!(record.offset.value(), self.next);
            let text = String::from_utf8(record.payload.to_vec()).unwrap();
            assert_eq!(text.trim_end(), self.next.to_string());
            self.next += 1;
        }
    }

    /// Reads to the end of what was written.
    pub async fn up_to(&mut self, end: i64) {
        while self.next < end {
            self.one_event().await;
        }
        assert_eq!(self.next, end);
    }

    /// Reads on until it breaks, and gives the reason.
    pub async fn until_broken(&mut self) -> String {
        loop {
            match self.event().await {
                Ok(records) => {
                    assert_eq!(records[0].offset.value(), self.next);
                    self.next += i64::try_from(records.len()).unwrap();
                }
                Err(reason) => return reason,
            }
        }
    }

    pub const fn next(&self) -> i64 {
        self.next
    }

    /// Reads what is left until the channel ends.
    pub async fn end(&mut self) {
        let rest = async { while self.events.recv().await.is_some() {} };
        timeout(PATIENCE, rest).await.expect("the channel goes on");
    }

    pub async fn is_quiet(&mut self) -> bool {
        timeout(QUIET, self.events.recv()).await.is_err()
    }
}
