//! The properties of librdkafka that AXS sets itself, apart from those left to the operator.
//!
//! Two names of one property in one configuration would leave it to chance which value counts, so
//! a property that is set here is refused under each of its names.

use super::event_publisher::{GAPLESS, producer_properties};
use super::record_reader::reader_properties;
use super::settings::{AfterFailure, KafkaSettings, KafkaSettingsError, ProducerSettings};
use super::topic_claims::{claiming_properties, looking_properties};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;
use std::time::Duration;

/// After an outage a broker is found again within this time, not librdkafka's ten seconds.
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// librdkafka's other names of properties that are set here.
const ALIASES: [(&str, &str); 7] = [
    ("compression.type", "compression.codec"),
    ("delivery.timeout.ms", "message.timeout.ms"),
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
    GAPLESS,
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

/// A property and its value.
pub(super) type Property = (&'static str, String);

/// Whether a client of this module sets the property itself, under this name or another. Such a
/// one is refused among the operator's.
#[must_use]
pub fn is_own_property(name: &str) -> bool {
    // The names don't depend on the settings.
    let producer = ProducerSettings {
        queue_records_max: 0,
        queue_kib_max: 0,
        after_failure: AfterFailure::ClosePartition,
    };
    is_among(name, &shared_properties("", ""))
        || is_among(name, &producer_properties(producer))
        || is_among(name, &reader_properties(""))
        || is_among(name, &looking_properties(""))
        || is_among(name, &claiming_properties(""))
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

/// The configuration of a client: what all share, its own, and the operator's.
///
/// # Errors
/// [`KafkaSettingsError`] that names the operator's property that isn't the operator's to set.
pub(super) fn client_config(
    kafka: &KafkaSettings,
    own: &[Property],
) -> Result<ClientConfig, KafkaSettingsError> {
    let shared = shared_properties(&kafka.brokers, &kafka.client_id);
    let mut config = ClientConfig::new();
    for (name, value) in shared.iter().chain(own) {
        config.set(*name, value);
    }
    for (name, value) in &kafka.properties {
        if is_among(name, &shared) || is_among(name, own) {
            return Err(kafka.refused(&format_args!("the property {name:?} is set by AXS alone")));
        }
        if let Some(problem) = property_problem(name, value) {
            return Err(kafka.refused(&format_args!("the property {name:?} {problem}")));
        }
        config.set(name, value);
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    Ok(config)
}

fn shared_properties(brokers: &str, client_id: &str) -> [Property; 7] {
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

fn is_among(name: &str, own: &[Property]) -> bool {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let set_here = alias.map_or(name, |(_, set_here)| set_here);
    NOBODYS.contains(&name) || own.iter().any(|(own, _)| *own == set_here)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::deliveries::is_expected;
    use crate::kafka::{EventProducer, KafkaClient};
    use rdkafka::ClientContext;
    use rdkafka::consumer::{BaseConsumer, ConsumerContext};
    use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    const QUEUE: ProducerSettings = ProducerSettings {
        queue_records_max: 1_000,
        queue_kib_max: 1_000,
        after_failure: AfterFailure::ClosePartition,
    };

    fn with_property(name: &str, value: &str) -> KafkaSettings {
        KafkaSettings {
            brokers: "127.0.0.1:1".into(),
            events_topic: "events".into(),
            client_id: "axs".into(),
            properties: BTreeMap::from([(name.into(), value.into())]),
        }
    }

    fn names_of_the_producers() -> Vec<&'static str> {
        let shared = shared_properties("", "");
        let own = producer_properties(QUEUE);
        let set = shared.iter().chain(&own).map(|(name, _)| *name);
        let aliases = ALIASES.iter().map(|(alias, _)| *alias);
        set.chain(aliases).chain(NOBODYS).collect()
    }

    #[test]
    fn the_producer_refuses_each_of_its_own_properties_under_each_of_their_names() {
        let names = names_of_the_producers();
        for promise in [
            "acks",
            "allow.auto.create.topics",
            "enable.idempotence",
            "message.timeout.ms",
            "retries",
        ] {
            assert!(names.contains(&promise), "{promise}");
        }
        for name in names {
            let error = EventProducer::try_new(&with_property(name, "1"), QUEUE).unwrap_err();
            assert!(error.reason.contains(&format!("{name:?}")), "{error}");
            assert!(is_own_property(name), "{name}");
        }
    }

    #[test]
    fn no_request_waits_in_the_kernel_for_the_one_before_it() {
        let config = client_config(&with_property("security.protocol", "plaintext"), &[]).unwrap();
        assert_eq!(config.get("socket.nagle.disable"), Some("true"));
    }

    #[test]
    fn the_client_that_asks_refuses_what_it_sets() {
        for name in [
            "allow.auto.create.topics",
            "bootstrap.servers",
            "metadata.broker.list",
        ] {
            let error = KafkaClient::try_new(&with_property(name, "true")).unwrap_err();
            assert!(error.reason.contains(&format!("{name:?}")), "{error}");
            assert!(is_own_property(name), "{name}");
        }
    }

    #[test]
    fn the_operators_properties_reach_librdkafka() {
        let wrong = with_property("security.protocol", "telepathy");
        let reasons = [
            KafkaClient::try_new(&wrong).unwrap_err().reason,
            EventProducer::try_new(&wrong, QUEUE).unwrap_err().reason,
        ];
        for reason in reasons {
            assert!(
                reason.contains("\"security.protocol\" has a value"),
                "{reason}"
            );
        }
        let right = with_property("security.protocol", "plaintext");
        assert!(KafkaClient::try_new(&right).is_ok());
        assert!(EventProducer::try_new(&right, QUEUE).is_ok());
        assert!(!is_own_property("security.protocol"));
    }

    #[test]
    fn what_librdkafka_does_not_take_is_named_without_its_value() {
        for (name, value, problem) in [
            ("sasl.pasword", "hunter2", Some("is no property")),
            ("sasl_password", "hunter2", Some("is no property")),
            ("security.protocol", "hunter2", Some("has a value")),
            ("sasl.password", "hunter\0", Some("has a value")),
            ("sasl.password", "hunter2", None),
            ("ssl.ca.location", "/etc/ca.pem", None),
        ] {
            let found = property_problem(name, value);
            assert_eq!(found.is_some(), problem.is_some(), "{name}");
            if let Some(problem) = problem {
                let refused = client_config(&with_property(name, value), &[]).unwrap_err();
                let text = refused.to_string();
                assert!(text.contains(name) && text.contains(problem), "{text}");
                assert!(!text.contains("hunter"), "{text}");
            }
        }
    }

    /// Each look takes one event of a client, and the line may stand behind others.
    const LOOKS: u32 = 20;
    const LOOK: Duration = Duration::from_millis(10);

    /// The lines in which librdkafka warns of a client's configuration.
    #[derive(Clone, Default)]
    struct Warnings(Arc<Mutex<Vec<String>>>);

    impl ClientContext for Warnings {
        fn log(&self, _level: RDKafkaLogLevel, facility: &str, line: &str) {
            if facility == "CONFWARN" {
                self.0.lock().unwrap().push(line.to_owned());
            }
        }
    }

    impl ConsumerContext for Warnings {}

    impl ProducerContext for Warnings {
        type DeliveryOpaque = ();

        fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
    }

    #[test]
    fn librdkafka_warns_of_nothing_but_the_experimental_property_that_order_needs_and_nobody_is_told()
     {
        let kafka = KafkaSettings {
            properties: BTreeMap::new(),
            ..with_property("", "")
        };
        let of_consumer = |own: &[Property]| {
            let seen = Warnings::default();
            let config = client_config(&kafka, own).unwrap();
            let consumer: BaseConsumer<Warnings> =
                config.create_with_context(seen.clone()).unwrap();
            (0..LOOKS).for_each(|_| drop(consumer.poll(LOOK)));
            seen.0.lock().unwrap().clone()
        };
        let of_producer = |after_failure| {
            let seen = Warnings::default();
            let own = producer_properties(ProducerSettings {
                after_failure,
                ..QUEUE
            });
            let config = client_config(&kafka, &own).unwrap();
            let producer: BaseProducer<Warnings> =
                config.create_with_context(seen.clone()).unwrap();
            (0..LOOKS).for_each(|_| producer.poll(LOOK));
            seen.0.lock().unwrap().clone()
        };
        let none: [&str; 0] = [];
        assert_eq!(of_consumer(&[]), none);
        assert_eq!(of_consumer(&reader_properties("axs")), none);
        assert_eq!(of_consumer(&looking_properties("axs")), none);
        assert_eq!(of_producer(AfterFailure::GoOn), none);
        let of_api = of_producer(AfterFailure::ClosePartition);
        assert!(
            of_api.len() == 1 && of_api[0].contains(GAPLESS),
            "{of_api:?}"
        );
        assert!(is_expected("CONFWARN", &of_api[0]));
        assert!(!is_expected("CONFWARN", "another property"));
        assert!(!is_expected("FAIL", GAPLESS));
    }

    #[test]
    fn an_alias_is_what_librdkafka_calls_the_same_property() {
        let kafka = KafkaSettings {
            properties: BTreeMap::new(),
            ..with_property("", "")
        };
        let config = client_config(&kafka, &producer_properties(QUEUE)).unwrap();
        let native = config.create_native_config().unwrap();
        for (alias, name) in ALIASES {
            assert_eq!(native.get(alias), native.get(name), "{alias}");
            assert!(native.get(alias).is_ok(), "{alias}");
        }
    }
}
