//! How the brokers are reached.

use super::property::{Property, is_set_by_axs, property_problem, shared_properties};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use std::collections::BTreeMap;
use std::fmt;

/// How the brokers are reached.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConnection {
    /// Bootstrap addresses, `host:port` with commas between them.
    pub brokers: String,
    /// The name under which the brokers know this process.
    pub client_id: String,
    /// Further properties of librdkafka, e.g. `security.protocol` and `sasl.password`. One that
    /// AXS sets itself makes the client refuse the settings: see [`is_set_by_axs`].
    pub properties: BTreeMap<String, String>,
}

/// Values of properties are not printed: they may be passwords.
impl fmt::Debug for KafkaConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConnection")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

/// A property is set that is not the operator's to set, librdkafka refuses the settings, or the
/// system refuses what the client needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the Kafka client for {brokers} can't be made: {reason}")]
pub struct KafkaSettingsError {
    /// The bootstrap addresses.
    pub brokers: String,
    /// Which property, or what was said.
    pub reason: String,
}

impl KafkaConnection {
    /// The configuration of a client: what all share, its own, and the operator's.
    ///
    /// # Errors
    /// [`KafkaSettingsError`] that names the operator's property that isn't the operator's to set,
    /// or that librdkafka does not take, and no value.
    pub fn client_config(&self, own: &[Property]) -> Result<ClientConfig, KafkaSettingsError> {
        let mut config = ClientConfig::new();
        for (name, value) in shared_properties(&self.brokers, &self.client_id)
            .iter()
            .chain(own)
        {
            config.set(*name, value);
        }
        for (name, value) in &self.properties {
            if is_set_by_axs(name, own) {
                return Err(
                    self.refused(&format_args!("the property {name:?} is set by AXS alone"))
                );
            }
            if let Some(problem) = property_problem(name, value) {
                return Err(self.refused(&format_args!("the property {name:?} {problem}")));
            }
            config.set(name, value);
        }
        config.set_log_level(RDKafkaLogLevel::Info);
        Ok(config)
    }

    /// These settings, refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: &dyn fmt::Display) -> KafkaSettingsError {
        KafkaSettingsError {
            brokers: self.brokers.clone(),
            reason: reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_property(name: &str, value: &str) -> KafkaConnection {
        KafkaConnection {
            brokers: "127.0.0.1:1".into(),
            client_id: "axs".into(),
            properties: BTreeMap::from([(name.into(), value.into())]),
        }
    }

    #[test]
    fn printing_the_settings_prints_no_password() {
        let printed = format!("{:?}", with_property("sasl.password", "hunter2"));
        assert!(printed.contains("sasl.password"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn the_operators_properties_reach_librdkafka_beside_those_that_are_set_here() {
        let own = [("acks", "all".to_owned())];
        let config = with_property("security.protocol", "plaintext").client_config(&own);
        let config = config.unwrap();
        for (name, value) in [
            ("security.protocol", "plaintext"),
            ("acks", "all"),
            ("bootstrap.servers", "127.0.0.1:1"),
            // No request waits in the kernel for the one before it.
            ("socket.nagle.disable", "true"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
        let refused = with_property("request.required.acks", "0").client_config(&own);
        let refused = refused.unwrap_err();
        assert!(
            refused.reason.contains("\"request.required.acks\""),
            "{refused}"
        );
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
                let refused = with_property(name, value).client_config(&[]).unwrap_err();
                let text = refused.to_string();
                assert!(text.contains(name) && text.contains(problem), "{text}");
                assert!(!text.contains("hunter"), "{text}");
            }
        }
    }
}
