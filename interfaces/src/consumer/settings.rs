//! How the events topic is read, and within which bounds.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// KiB that librdkafka fetches ahead, over all partitions. What a pause throws away and fetches
/// again is at most this.
const FETCHED_AHEAD_KIB_MAX: u32 = 8 * 1_024;

/// How soon librdkafka looks again when it has fetched enough ahead. Its own second would leave
/// the reader idle once the queue is drained, which takes milliseconds.
const FETCH_QUEUE_BACKOFF: Duration = Duration::from_millis(10);

/// How long a broker may hold an idle fetch. A partition that was assigned or resumed joins only
/// the next one.
const FETCH_WAIT_MAX: Duration = Duration::from_millis(50);

/// Bytes of one partition in one fetch.
const PARTITION_FETCH_BYTES_MAX: u32 = 1_024 * 1_024;

/// Bytes of one fetch over all partitions.
const FETCH_BYTES_MAX: u32 = 8 * 1_024 * 1_024;

/// After an outage a broker is found again within this time, not librdkafka's ten seconds.
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How long a topic that the brokers don't know any more is waited for before its partitions
/// break: a restarting broker may not know it yet.
const UNKNOWN_TOPIC_WAIT: Duration = Duration::from_secs(10);

/// How the events topic is read.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordSourceSettings {
    /// Bootstrap addresses, `host:port` with commas between them.
    pub brokers: String,
    /// The topic of the events.
    pub events_topic: String,
    /// The name under which the brokers know this process.
    pub client_id: String,
    /// librdkafka wants a group even from a reader that joins none.
    pub group_id: String,
    /// Further properties of librdkafka, e.g. `security.protocol` and `sasl.password`. What this
    /// crate sets for the sake of its promises can't be set here.
    pub properties: BTreeMap<String, String>,
    /// Batches of records that wait in a partition's channel before the partition is paused. At
    /// least 1.
    pub waiting_batches_max: usize,
}

/// Values of properties are not printed: they may be passwords.
impl fmt::Debug for RecordSourceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSourceSettings")
            .field("brokers", &self.brokers)
            .field("events_topic", &self.events_topic)
            .field("client_id", &self.client_id)
            .field("group_id", &self.group_id)
            .field("properties", &self.properties.keys())
            .field("waiting_batches_max", &self.waiting_batches_max)
            .finish()
    }
}

/// librdkafka refuses the settings, or the system refuses the thread.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Kafka consumer for {brokers} can't be made: {reason}")]
pub struct RecordSourceSettingsError {
    /// The bootstrap addresses.
    pub brokers: String,
    /// What was said.
    pub reason: String,
}

impl RecordSourceSettings {
    pub(super) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("group.id", &self.group_id)
            .set("allow.auto.create.topics", "false")
            // The offset is stored in PostgreSQL, with the effects of what was read.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // An offset that the log doesn't have stops the partition: skip nothing.
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "false")
            .set("check.crcs", "true")
            // AXS writes without transactions. A foreign writer that left one open would hold up
            // a partition for ever under read_committed; what it wrote is refused as any record
            // is that has no log row.
            .set("isolation.level", "read_uncommitted")
            .set(
                "queued.max.messages.kbytes",
                FETCHED_AHEAD_KIB_MAX.to_string(),
            )
            .set("fetch.queue.backoff.ms", millis(FETCH_QUEUE_BACKOFF))
            .set("fetch.wait.max.ms", millis(FETCH_WAIT_MAX))
            .set(
                "max.partition.fetch.bytes",
                PARTITION_FETCH_BYTES_MAX.to_string(),
            )
            .set("fetch.max.bytes", FETCH_BYTES_MAX.to_string())
            .set("reconnect.backoff.max.ms", millis(RECONNECT_BACKOFF_MAX))
            .set(
                "topic.metadata.propagation.max.ms",
                millis(UNKNOWN_TOPIC_WAIT),
            )
            .set("socket.keepalive.enable", "true")
            .set("statistics.interval.ms", "0")
            .set_log_level(RDKafkaLogLevel::Info);
        config
    }

    pub(super) fn refused(&self, reason: &dyn fmt::Display) -> RecordSourceSettingsError {
        RecordSourceSettingsError {
            brokers: self.brokers.clone(),
            reason: reason.to_string(),
        }
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_the_settings_prints_no_password() {
        let settings = RecordSourceSettings {
            brokers: "127.0.0.1:9092".into(),
            events_topic: "events".into(),
            client_id: "axs".into(),
            group_id: "axs".into(),
            properties: BTreeMap::from([("sasl.password".into(), "hunter2".into())]),
            waiting_batches_max: 1,
        };
        let printed = format!("{settings:?}");
        assert!(printed.contains("sasl.password"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
