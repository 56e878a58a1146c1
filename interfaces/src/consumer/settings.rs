//! How the events topic is read, and within which bounds.

use axs_kafka::{KafkaConnection, KafkaSettingsError, Property, is_set_by_axs};
use rdkafka::config::ClientConfig;
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

/// How long a topic that the brokers don't know any more is waited for before its partitions
/// break: a restarting broker may not know it yet.
const UNKNOWN_TOPIC_WAIT: Duration = Duration::from_secs(10);

/// How the events topic is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSourceSettings {
    /// How the brokers are reached.
    pub connection: KafkaConnection,
    /// The topic of the events.
    pub events_topic: String,
    /// librdkafka wants a group even from a reader that joins none.
    pub group_id: String,
    /// Batches of records that wait in a partition's channel before the partition is paused. At
    /// least 1.
    pub waiting_batches_max: usize,
}

impl RecordSourceSettings {
    /// # Errors
    /// [`KafkaSettingsError`]: see [`KafkaConnection::client_config`].
    pub(super) fn client_config(&self) -> Result<ClientConfig, KafkaSettingsError> {
        self.connection
            .client_config(&own_properties(&self.group_id))
    }
}

/// Whether the reader sets the property itself, under this name or another. Such a one is refused
/// among the operator's.
#[must_use]
pub fn is_own_property(name: &str) -> bool {
    // The names don't depend on the settings.
    is_set_by_axs(name, &own_properties(""))
}

/// What the reader sets besides what all clients share.
fn own_properties(group_id: &str) -> [Property; 13] {
    [
        ("group.id", group_id.into()),
        // The offset is stored in PostgreSQL, with the effects of what was read.
        ("enable.auto.commit", "false".into()),
        ("enable.auto.offset.store", "false".into()),
        // An offset that the log doesn't have stops the partition: skip nothing.
        ("auto.offset.reset", "error".into()),
        ("enable.partition.eof", "false".into()),
        ("check.crcs", "true".into()),
        // AXS writes without transactions. A foreign writer that left one open would hold up a
        // partition for ever under read_committed; what it wrote is refused as any record is that
        // has no log row.
        ("isolation.level", "read_uncommitted".into()),
        (
            "queued.max.messages.kbytes",
            FETCHED_AHEAD_KIB_MAX.to_string(),
        ),
        ("fetch.queue.backoff.ms", millis(FETCH_QUEUE_BACKOFF)),
        ("fetch.wait.max.ms", millis(FETCH_WAIT_MAX)),
        (
            "max.partition.fetch.bytes",
            PARTITION_FETCH_BYTES_MAX.to_string(),
        ),
        ("fetch.max.bytes", FETCH_BYTES_MAX.to_string()),
        (
            "topic.metadata.propagation.max.ms",
            millis(UNKNOWN_TOPIC_WAIT),
        ),
    ]
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::RecordReader;
    use std::collections::BTreeMap;

    fn with_property(name: &str, value: &str) -> RecordSourceSettings {
        RecordSourceSettings {
            connection: KafkaConnection {
                brokers: "127.0.0.1:1".into(),
                client_id: "axs".into(),
                properties: BTreeMap::from([(name.into(), value.into())]),
            },
            events_topic: "events".into(),
            group_id: "axs".into(),
            waiting_batches_max: 1,
        }
    }

    #[test]
    fn the_readers_own_properties_are_refused() {
        let own = own_properties("");
        let names = own.iter().map(|(name, _)| *name);
        for name in names.chain(["fetch.message.max.bytes", "auto.commit.enable", "log_level"]) {
            let error = RecordReader::start(&with_property(name, "1")).unwrap_err();
            assert!(error.reason.contains(&format!("{name:?}")), "{error}");
            assert!(is_own_property(name), "{name}");
        }
    }

    #[test]
    fn the_operators_properties_reach_librdkafka() {
        let wrong = with_property("security.protocol", "telepathy");
        let error = RecordReader::start(&wrong).unwrap_err();
        assert!(error.reason.contains("security.protocol"), "{error}");
        let right = with_property("security.protocol", "plaintext");
        let config = right.client_config().unwrap();
        assert_eq!(config.get("security.protocol"), Some("plaintext"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
    }
}
