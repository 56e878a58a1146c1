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

/// librdkafka's other names of properties that are set here.
const ALIASES: [(&str, &str); 3] = [
    ("auto.commit.enable", "enable.auto.commit"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("metadata.broker.list", "bootstrap.servers"),
];

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
    /// Further properties of librdkafka, e.g. `security.protocol` and `sasl.password`. One that
    /// the reader sets itself makes it refuse the settings: see
    /// [`is_own_property`](super::is_own_property).
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

/// A property is set that is not the operator's to set, librdkafka refuses the settings, or the
/// system refuses the thread.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Kafka consumer for {brokers} can't be made: {reason}")]
pub struct RecordSourceSettingsError {
    /// The bootstrap addresses.
    pub brokers: String,
    /// Which property, or what was said.
    pub reason: String,
}

impl RecordSourceSettings {
    /// # Errors
    /// [`RecordSourceSettingsError`] that names the operator's property that isn't the operator's
    /// to set.
    pub(super) fn client_config(&self) -> Result<ClientConfig, RecordSourceSettingsError> {
        let mut config = ClientConfig::new();
        for (name, value) in own_properties(&self.brokers, &self.client_id, &self.group_id) {
            config.set(name, value);
        }
        for (name, value) in &self.properties {
            if is_own_property(name) {
                let reason = format_args!("the property {name:?} is set by AXS alone");
                return Err(self.refused(&reason));
            }
            config.set(name, value);
        }
        config.set_log_level(RDKafkaLogLevel::Info);
        Ok(config)
    }

    pub(super) fn refused(&self, reason: &dyn fmt::Display) -> RecordSourceSettingsError {
        RecordSourceSettingsError {
            brokers: self.brokers.clone(),
            reason: reason.to_string(),
        }
    }
}

/// Whether the reader sets the property itself, under this name or another. Such a one is refused
/// among the operator's.
///
/// Two names of one property in one configuration would leave it to chance which value counts.
#[must_use]
pub fn is_own_property(name: &str) -> bool {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let set_here = alias.map_or(name, |(_, set_here)| set_here);
    // The names don't depend on the settings. The level of the log is the binding's to set.
    name == "log_level"
        || own_properties("", "", "")
            .iter()
            .any(|(own, _)| *own == set_here)
}

fn own_properties(brokers: &str, client_id: &str, group_id: &str) -> [(&'static str, String); 20] {
    [
        ("bootstrap.servers", brokers.into()),
        ("client.id", client_id.into()),
        ("group.id", group_id.into()),
        ("allow.auto.create.topics", "false".into()),
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
        ("reconnect.backoff.max.ms", millis(RECONNECT_BACKOFF_MAX)),
        (
            "topic.metadata.propagation.max.ms",
            millis(UNKNOWN_TOPIC_WAIT),
        ),
        ("socket.keepalive.enable", "true".into()),
        // A request must not wait in the kernel until what was sent before it is acknowledged.
        ("socket.nagle.disable", "true".into()),
        ("statistics.interval.ms", "0".into()),
    ]
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::RecordReader;

    fn with_property(name: &str, value: &str) -> RecordSourceSettings {
        RecordSourceSettings {
            brokers: "127.0.0.1:1".into(),
            events_topic: "events".into(),
            client_id: "axs".into(),
            group_id: "axs".into(),
            properties: BTreeMap::from([(name.into(), value.into())]),
            waiting_batches_max: 1,
        }
    }

    #[test]
    fn printing_the_settings_prints_no_password() {
        let settings = with_property("sasl.password", "hunter2");
        let printed = format!("{settings:?}");
        assert!(printed.contains("sasl.password"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn the_readers_own_properties_are_refused_under_each_of_their_names() {
        let own = own_properties("", "", "");
        let aliases = ALIASES.iter().map(|(alias, _)| *alias);
        let names = own.iter().map(|(name, _)| *name).chain(aliases);
        for name in names.chain(["log_level"]) {
            let error = RecordReader::start(&with_property(name, "1")).unwrap_err();
            assert!(error.reason.contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn the_operators_properties_reach_librdkafka() {
        let wrong = with_property("security.protocol", "telepathy");
        let error = RecordReader::start(&wrong).unwrap_err();
        assert!(error.reason.contains("telepathy"), "{error}");
        let right = with_property("security.protocol", "plaintext");
        let config = right.client_config().unwrap();
        assert_eq!(config.get("security.protocol"), Some("plaintext"));
        assert_eq!(config.get("socket.nagle.disable"), Some("true"));
    }
}
