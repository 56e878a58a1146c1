//! The properties of librdkafka that the clients of this module set themselves.

use super::event_publisher::producer_properties;
use super::record_reader::reader_properties;
use super::settings::{AfterFailure, ProducerSettings};
use super::topic_claims::{claiming_properties, looking_properties};
use axs_kafka::is_set_by_axs;

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
    is_set_by_axs(name, &producer_properties(producer))
        || is_set_by_axs(name, &reader_properties(""))
        || is_set_by_axs(name, &looking_properties(""))
        || is_set_by_axs(name, &claiming_properties(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::deliveries::is_expected;
    use crate::kafka::event_publisher::GAPLESS;
    use crate::kafka::settings::KafkaSettings;
    use crate::kafka::{EventProducer, KafkaClient};
    use axs_kafka::{KafkaConnection, Property};
    use rdkafka::ClientContext;
    use rdkafka::config::RDKafkaLogLevel;
    use rdkafka::consumer::{BaseConsumer, ConsumerContext};
    use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    const QUEUE: ProducerSettings = ProducerSettings {
        queue_records_max: 1_000,
        queue_kib_max: 1_000,
        after_failure: AfterFailure::ClosePartition,
    };

    fn with_properties<const N: usize>(properties: [(&str, &str); N]) -> KafkaSettings {
        let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
        KafkaSettings {
            connection: KafkaConnection {
                brokers: "127.0.0.1:1".into(),
                client_id: "axs".into(),
                properties: BTreeMap::from(properties),
            },
            events_topic: "events".into(),
        }
    }

    #[test]
    fn the_producer_refuses_each_of_its_own_properties() {
        let mut names: Vec<_> = producer_properties(QUEUE)
            .iter()
            .map(|(name, _)| *name)
            .collect();
        for promise in [
            "acks",
            "enable.idempotence",
            "message.timeout.ms",
            "retries",
        ] {
            assert!(names.contains(&promise), "{promise}");
        }
        names.extend(["allow.auto.create.topics", "request.required.acks"]);
        for name in names {
            let refused = EventProducer::try_new(&with_properties([(name, "1")]), QUEUE);
            let error = refused.unwrap_err();
            assert!(error.reason.contains(&format!("{name:?}")), "{error}");
            assert!(is_own_property(name), "{name}");
        }
        assert!(!is_own_property("security.protocol"));
    }

    #[test]
    fn the_client_that_asks_refuses_what_it_sets() {
        for name in [
            "allow.auto.create.topics",
            "bootstrap.servers",
            "metadata.broker.list",
        ] {
            let refused = KafkaClient::try_new(&with_properties([(name, "true")]));
            let error = refused.unwrap_err();
            assert!(error.reason.contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn the_operators_properties_reach_each_client() {
        let wrong = with_properties([("security.protocol", "telepathy")]);
        assert!(KafkaClient::try_new(&wrong).is_err());
        assert!(EventProducer::try_new(&wrong, QUEUE).is_err());
        let right = with_properties([("security.protocol", "plaintext")]);
        assert!(KafkaClient::try_new(&right).is_ok());
        assert!(EventProducer::try_new(&right, QUEUE).is_ok());
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
        let kafka = with_properties([]).connection;
        let of_consumer = |own: &[Property]| {
            let seen = Warnings::default();
            let config = kafka.client_config(own).unwrap();
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
            let config = kafka.client_config(&own).unwrap();
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
}
