//! The properties of librdkafka that AXS sets itself, apart from those left to the operator.
//!
//! Two names of one property in one configuration would leave it to chance which value counts, so
//! a property that is set by AXS is refused under each of its names.

use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use std::time::Duration;

/// A property and its value.
pub type Property = (&'static str, String);

/// After an outage a broker is found again within this time, not librdkafka's ten seconds.
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// librdkafka's other names of properties that are set by AXS.
const ALIASES: [(&str, &str); 9] = [
    ("auto.commit.enable", "enable.auto.commit"),
    ("compression.type", "compression.codec"),
    ("delivery.timeout.ms", "message.timeout.ms"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("message.send.max.retries", "retries"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
];

/// Not the operator's, even where a client leaves them alone: the level of the log is the binding's
/// to set, a producer with transactions sends nothing outside of one, and what the API's producer
/// must have the others must not have.
const NOBODYS: [&str; 9] = [
    "log_level",
    "transactional.id",
    "enable.gapless.guarantee",
    // Every delivery is waited for, with its offset.
    "delivery.report.only.error",
    "produce.offset.report",
    // Another order than that of enqueuing.
    "queuing.strategy",
    // A record that is too large for it would fail for ever.
    "message.max.bytes",
    // Deliveries to brokers that are none.
    "test.mock.num.brokers",
    "test.mock.broker.rtt",
];

/// What every client sets.
pub(super) fn shared_properties(brokers: &str, client_id: &str) -> [Property; 7] {
    [
        ("bootstrap.servers", brokers.into()),
        ("client.id", client_id.into()),
        ("statistics.interval.ms", "0".into()),
        ("socket.keepalive.enable", "true".into()),
        // A topic that was deleted, or whose name is mistyped, must not come to be by being asked
        // for, with whatever partitions the brokers give it. librdkafka's default lets producers do
        // that.
        ("allow.auto.create.topics", "false".into()),
        // Requests to several partitions go out one after the other. Without this each would wait
        // in the kernel until the one before it is acknowledged, up to the 40 ms of a delayed ACK.
        ("socket.nagle.disable", "true".into()),
        (
            "reconnect.backoff.max.ms",
            RECONNECT_BACKOFF_MAX.as_millis().to_string(),
        ),
    ]
}

/// Whether AXS sets the property itself in a client with these own properties, under this name or
/// another. Such a one is refused among the operator's.
#[must_use]
pub fn is_set_by_axs(name: &str, own: &[Property]) -> bool {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let set_here = alias.map_or(name, |(_, set_here)| set_here);
    // The names don't depend on the settings.
    let shared = shared_properties("", "");
    NOBODYS.contains(&name) || shared.iter().chain(own).any(|(own, _)| *own == set_here)
}

/// Why librdkafka does not take a property. Without its value, which may be a secret.
#[must_use]
pub fn property_problem(name: &str, value: &str) -> Option<&'static str> {
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => {
            Some("is no property of librdkafka")
        }
        Err(_) => Some("has a value that librdkafka, as it is built here, does not take"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_refused_under_each_of_its_names() {
        let own: Vec<Property> = ALIASES.map(|(_, name)| (name, String::new())).into();
        let aliases = ALIASES.iter().flat_map(|(alias, name)| [*alias, name]);
        let shared = shared_properties("", "");
        let shared = shared.iter().map(|(name, _)| *name);
        for name in aliases.chain(shared).chain(NOBODYS) {
            assert!(is_set_by_axs(name, &own), "{name}");
        }
        assert!(!is_set_by_axs("security.protocol", &own));
        assert!(!is_set_by_axs("linger.ms", &[]), "it is another client's");
    }

    #[test]
    fn an_alias_is_what_librdkafka_calls_the_same_property() {
        let mut config = ClientConfig::new();
        // It has no default.
        config.set("bootstrap.servers", "127.0.0.1:1");
        // Another value than the default, under one of the names.
        config.set("acks", "1").set("linger.ms", "7");
        let native = config.create_native_config().unwrap();
        for (alias, name) in ALIASES {
            assert_eq!(native.get(alias), native.get(name), "{alias}");
            assert!(native.get(alias).is_ok(), "{alias}");
        }
    }
}
