//! The result topic as a consumer of AXS reads it: when a load's events are final and told.

use crate::load::{LATENCY_MAX_US, latencies, number_in};
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One question to the broker.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long a poll waits: until a look at the end flag.
const POLL: Duration = Duration::from_millis(50);

/// The field of a `BalanceChangeResult` that holds the event's label.
const EVENT_ID_FIELD: u64 = 9;

/// When each request was due, by its number.
#[derive(Debug, Default)]
pub struct DueTimes(Mutex<Vec<Instant>>);

impl DueTimes {
    /// Notes a request. Requests are noted in the order of their numbers, from 0.
    pub fn note(&self, due: Instant) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(due);
    }

    fn of(&self, number: usize) -> Option<Instant> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(number).copied()
    }
}

/// A watch under way.
#[derive(Debug)]
pub struct ResultWatch {
    seen: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Histogram<u64>>>,
}

impl ResultWatch {
    /// Begins to read behind what is there now. `tag` is that of the load.
    ///
    /// # Errors
    /// The broker is away.
    pub async fn start(
        brokers: String,
        topic: String,
        tag: u64,
        due: Arc<DueTimes>,
    ) -> Result<Self> {
        let seen = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (counted, stopped) = (Arc::clone(&seen), Arc::clone(&stop));
        let (ready_in, ready) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("results".to_owned())
            .spawn(move || {
                let consumer = read_from_now(&brokers, &topic)?;
                let _ = ready_in.send(());
                watch(&consumer, tag, &due, &counted, &stopped)
            })?;
        // An error of the thread is told at the end.
        let _ = ready.await;
        Ok(Self { seen, stop, thread })
    }

    /// Waits until so many of the load's events have a result, and gives the latencies from the
    /// time at which their requests were due, in microseconds.
    ///
    /// # Errors
    /// They don't come.
    pub async fn outcome(self, events: u64) -> Result<Histogram<u64>> {
        let began = Instant::now();
        while self.seen.load(Ordering::Relaxed) < events
            && began.elapsed() < TIMEOUT
            && !self.thread.is_finished()
        {
            tokio::time::sleep(POLL).await;
        }
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.seen.load(Ordering::Relaxed);
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        let Ok(latencies) = joined else {
            bail!("the thread that reads results panicked");
        };
        let latencies = latencies?;
        if seen < events {
            bail!("{seen} of {events} events have a result");
        }
        Ok(latencies)
    }
}

fn read_from_now(brokers: &str, topic: &str) -> Result<BaseConsumer> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", format!("{topic}-bench"))
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50")
        .set("socket.nagle.disable", "true")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let found = metadata.topics().first().context("no result topic")?;
    let mut list = TopicPartitionList::new();
    for partition in found.partitions() {
        let (_, end) = consumer.fetch_watermarks(topic, partition.id(), TIMEOUT)?;
        list.add_partition_offset(topic, partition.id(), Offset::Offset(end))?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

fn watch(
    consumer: &BaseConsumer,
    tag: u64,
    due: &DueTimes,
    seen: &AtomicU64,
    stop: &AtomicBool,
) -> Result<Histogram<u64>> {
    let mut found = latencies()?;
    while !stop.load(Ordering::Relaxed) {
        let Some(record) = consumer.poll(POLL) else {
            continue;
        };
        let record = record?;
        let label = record.payload().and_then(label_of).unwrap_or_default();
        let Some(due) = number_in(label, tag).and_then(|number| due.of(number)) else {
            continue;
        };
        let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        found.record(took.clamp(1, LATENCY_MAX_US))?;
        seen.fetch_add(1, Ordering::Relaxed);
    }
    Ok(found)
}

/// The label in the bytes of a result, without reading the rest.
fn label_of(mut bytes: &[u8]) -> Option<&[u8]> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        match tag & 7 {
            0 => {
                varint(&mut bytes)?;
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (text, rest) = bytes.split_at_checked(length)?;
                if tag >> 3 == EVENT_ID_FIELD {
                    return Some(text);
                }
                bytes = rest;
            }
            _ => return None,
        }
    }
    None
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::label_of;
    use crate::load::number_in;
    use axs_proto::v1::{BalanceChangeResult, LedgerEntry};
    use prost::Message;

    #[test]
    fn the_label_of_a_result_is_found_behind_its_entries() {
        let result = BalanceChangeResult {
            schema_version: 1,
            log_id: "0".repeat(36),
            entries: vec![LedgerEntry::default(), LedgerEntry::default()],
            account_id: 7,
            event_id: "12-345".to_owned(),
            event_type: "trade".to_owned(),
            ..BalanceChangeResult::default()
        };
        let bytes = result.encode_to_vec();
        let label = label_of(&bytes).expect("a label");
        assert_eq!(number_in(label, 12), Some(345));
        assert_eq!(number_in(label, 13), None);
        assert_eq!(number_in(b"e", 12), None);
    }
}
