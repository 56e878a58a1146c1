use super::*;
use std::collections::HashMap;
use std::io::Write;

fn load(environment: &[(&str, &str)], file: Option<&str>) -> Result<Settings, SettingsError> {
    let variables: HashMap<String, String> = environment
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect();
    let mut on_disk = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    on_disk
        .write_all(file.unwrap_or_default().as_bytes())
        .unwrap();
    let source = super::environment::layer().source(Some(variables));
    Settings::from_layers(file.map(|_| on_disk.path().to_path_buf()), source)
}

#[test]
fn the_defaults_are_valid() {
    load(&[], None).unwrap();
}

#[test]
fn a_later_layer_wins_key_by_key() {
    let file = "[lease]\nttl_ms = 3000\nretry_after_refusal_ms = 200\n";
    let settings = load(&[("AXS__LEASE__TTL_MS", "6000")], Some(file)).unwrap();
    assert_eq!(
        (settings.lease.ttl_ms, settings.lease.retry_after_refusal_ms),
        (6000, 200)
    );
}

#[test]
fn what_is_wrong_is_an_error_that_names_the_key() {
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, &'a str);
    let cases: [Case<'_>; 19] = [
        (&[("AXS__LEASE__TTL_MS", "10")], None, "lease.ttl_ms"),
        (&[("AXS__LEASE__TTL_MS", "soon")], None, "lease.ttl_ms"),
        (&[("AXS__LEASE__TTL", "3000")], None, "lease.ttl"),
        (&[("AXS__LEES__TTL_MS", "3000")], None, "lees"),
        (
            &[("AXS__DATABASE__URL", "mysql://h/db")],
            None,
            "database.url",
        ),
        (&[("AXS__CACHE__URL", "localhost")], None, "cache.url"),
        (
            &[("AXS__CACHE__KEY_PREFIX", "a{b}")],
            None,
            "cache.key_prefix",
        ),
        (&[("AXS__KAFKA__BROKERS", " ")], None, "kafka.brokers"),
        (&[("AXS__GRPC__LISTEN", "50051")], None, "grpc.listen"),
        (&[("AXS__LOG__FORMAT", "xml")], None, "log.format"),
        (
            &[],
            Some("[kafka.properties]\n\"enable.idempotence\" = \"false\"\n"),
            "kafka.properties.\"enable.idempotence\"",
        ),
        (
            &[],
            Some("[kafka.properties]\n\"message.send.max.retries\" = \"1\"\n"),
            "kafka.properties.\"message.send.max.retries\"",
        ),
        (
            &[],
            Some("[kafka.properties]\n\"fetch.message.max.bytes\" = \"1024\"\n"),
            "kafka.properties.\"fetch.message.max.bytes\"",
        ),
        (
            &[("AXS__KAFKA__RESULTS_TOPIC", "axs.balance-change-events")],
            None,
            "kafka.results_topic",
        ),
        (
            &[("AXS__KAFKA__RESULTS_TOPIC", "")],
            None,
            "kafka.results_topic",
        ),
        (
            &[],
            Some("[[rules.credit_limits]]\naccount_id = 1\ncurrency = \"usd\"\nlimit = \"1\"\n"),
            "rules.credit_limits[0].currency",
        ),
        (
            &[],
            Some("[[rules.credit_limits]]\naccount_id = 1\ncurrency = \"USD\"\nlimit = \"-1\"\n"),
            "rules.credit_limits[0].limit",
        ),
        (
            &[("AXS__PROCESSING__RELAY_GRACE_MS", "5000")],
            None,
            "processing.relay_grace_ms",
        ),
        (
            &[("AXS__PROCESSING__TRANSACTIONS_MAX", "32")],
            None,
            "database.writer_connections_max is 32; it must be above processing.transactions_max, 32",
        ),
    ];
    for (environment, file, expected) in cases {
        let error = load(environment, file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} lacks {expected:?}");
    }
}

#[test]
fn several_wrong_values_are_named_at_once() {
    let error = load(
        &[("AXS__LEASE__TTL_MS", "1"), ("AXS__OPS__LISTEN", "x")],
        None,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("lease.ttl_ms") && error.contains("ops.listen"),
        "{error}"
    );
}

#[test]
fn secrets_are_not_printed() {
    let environment = [
        ("AXS__DATABASE__URL", "postgres://axs:hunter2@127.0.0.1/axs"),
        ("AXS__CACHE__URL", "redis://:hunter2@127.0.0.1/"),
    ];
    let file = "[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n";
    let settings = load(&environment, Some(file)).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert_eq!(
        settings.kafka.properties["sasl.password"].expose(),
        "hunter2"
    );
}

#[test]
fn properties_of_librdkafka_come_from_variables_with_underscores_for_dots() {
    let environment = [
        ("AXS__KAFKA__PROPERTIES__SASL_PASSWORD", "hunter2"),
        ("AXS__KAFKA__PROPERTIES__SECURITY_PROTOCOL", "sasl_ssl"),
    ];
    let file = "[kafka.properties]\n\"sasl.password\" = \"older\"\n\"sasl.username\" = \"axs\"\n";
    let settings = load(&environment, Some(file)).unwrap();
    let properties = settings.kafka.properties.iter();
    let properties: Vec<(&str, &str)> = properties
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    let expected = [
        ("sasl.password", "hunter2"),
        ("sasl.username", "axs"),
        ("security.protocol", "sasl_ssl"),
    ];
    assert_eq!(properties, expected);
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn a_wrong_property_is_named_without_its_value() {
    let variables = [
        (
            "AXS__KAFKA__PROPERTIES__SASL_PASWORD",
            "\"sasl.pasword\" is no property",
        ),
        ("AXS__KAFKA__PROPERTIES__SECURITY_PROTOCOL", "has a value"),
        (
            "AXS__KAFKA__PROPERTIES__SASL__PASSWORD",
            "AXS__KAFKA__PROPERTIES__SASL_PASSWORD is",
        ),
        ("AXS__KAFKA__PROPERTIES", "__SASL_PASSWORD"),
        ("AXS__KAFKA__PROPERTIES_SASL", "__SASL_PASSWORD"),
        (
            "AXS__KAFKA__PROPERTIES__ENABLE_IDEMPOTENCE",
            "set by AXS alone",
        ),
    ];
    for (variable, words) in variables {
        let value = if words.contains("alone") {
            "true"
        } else {
            "hunter2"
        };
        let error = load(&[(variable, value)], None).unwrap_err().to_string();
        let named = words.contains("alone") || error.contains(variable);
        assert!(named && error.contains(words), "{variable}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let files = [
        (
            "\"sasl.pasword\" = \"hunter2\"",
            "kafka.properties.\"sasl.pasword\" is no property",
        ),
        (
            "\"security.protocol\" = \"hunter2\"",
            "kafka.properties.\"security.protocol\" has a value",
        ),
        (
            "sasl.password = \"hunter2\"",
            "kafka.properties.sasl: is a text",
        ),
        ("\"sasl.password\" = [\"hunter2\"]", "kafka.properties"),
    ];
    for (line, words) in files {
        let file = format!("[kafka.properties]\n{line}\n");
        let error = load(&[], Some(&file)).unwrap_err().to_string();
        assert!(error.contains(words), "{line}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let file = "[kafka]\nproperties = \"hunter2\"\n";
    let error = load(&[], Some(file)).unwrap_err().to_string();
    assert!(error.contains("kafka.properties"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn every_default_is_documented_where_it_stands() {
    let values: toml::Table = toml::from_str(DEFAULTS).unwrap();
    let settings = load(&[], None).unwrap();
    let printed = format!("{settings:?}");
    for (section, keys) in &values {
        for key in keys.as_table().unwrap().keys() {
            assert!(
                printed.contains(&format!("{key}:")),
                "{section}.{key} is no setting"
            );
        }
    }
}
