//! The environment: variables that are settings, and variables that look like one and are none.
//!
//! `AXS__DATABASE__URL` is read, `AXS_DATABASE_URL` would not be: a process that starts without a
//! word and with the default in its place is worse than one that does not start.

use super::{DEFAULTS, ENVIRONMENT_PREFIX, Secret, SettingsError};
use config::{Config, ConfigError, Environment, File, FileFormat, Map, Source, Value};
use std::collections::BTreeMap;

/// Stands between prefix, section and key.
const SEPARATOR: &str = "__";

/// Variables that are no settings and mean something to this program.
const NOT_SETTINGS: [&str; 3] = ["AXS_CONFIG", "AXS_FAILPOINTS", "AXS_FAILPOINTS_LOG"];

/// How the variables begin that the project's tests and scripts read; nobody means a setting by
/// them.
const TOOLS: [&str; 7] = [
    "AXS_ALLOW_SKIPS",
    "AXS_FORBID_SKIPS",
    "AXS_MOCK_BROKERS",
    "AXS_SERVERS_",
    "AXS_SIMULATION_",
    "AXS_TAPE",
    "AXS_TEST_",
];

/// The table of librdkafka's properties, as a key and as a variable is called.
const PROPERTIES: (&str, &str) = ("kafka.properties", "AXS__KAFKA__PROPERTIES");

/// How many letters a name may be away from the one that is proposed for it.
const DISTANCE_MAX: usize = 3;

/// The environment's layer. Values stay texts until a key asks for something else, so that a
/// password such as 007 keeps its zeros.
pub(super) fn layer() -> Environment {
    Environment::with_prefix(ENVIRONMENT_PREFIX)
        .prefix_separator(SEPARATOR)
        .separator(SEPARATOR)
}

/// The environment's layer, and librdkafka's properties beside it: their names have dots, which no
/// variable's has, so `AXS__KAFKA__PROPERTIES__SASL_PASSWORD` is `sasl.password`.
pub(super) struct Variables {
    settings: Map<String, Value>,
    /// The properties, by librdkafka's names.
    pub(super) properties: BTreeMap<String, Secret>,
}

impl Variables {
    /// Takes the properties out of the layer.
    ///
    /// # Errors
    /// A variable that can't be read, or that is no property. Values are never named.
    pub(super) fn read(layer: &Environment) -> Result<Self, SettingsError> {
        let (key, variable) = PROPERTIES;
        let (mut settings, mut properties) = (Map::new(), BTreeMap::new());
        let mut problems = Vec::new();
        for (path, value) in layer.collect()? {
            let Some(rest) = path.strip_prefix(key) else {
                settings.insert(path, value);
                continue;
            };
            let Some(name) = rest.strip_prefix('.') else {
                problems.push(format!(
                    "{variable}{} is no setting; {variable}__SASL_PASSWORD, for one, is sasl.password",
                    rest.to_ascii_uppercase()
                ));
                continue;
            };
            let dotted = name.replace('_', ".");
            // Two underscores came as a dot.
            let spelt = name.replace('.', SEPARATOR).to_ascii_uppercase();
            let value = value.into_string()?;
            match axs_kafka::property_problem(&dotted, &value) {
                _ if name.contains('.') => problems.push(format!(
                    "{variable}__{spelt} is no setting; {variable}__{} is",
                    dotted.replace('.', "_").to_ascii_uppercase()
                )),
                Some(problem) => {
                    problems.push(format!("{variable}__{spelt}: {dotted:?} {problem}"));
                }
                None => {
                    properties.insert(dotted, Secret::from(value));
                }
            }
        }
        if problems.is_empty() {
            Ok(Self {
                settings,
                properties,
            })
        } else {
            problems.sort();
            Err(SettingsError::Invalid(problems))
        }
    }

    /// The layer without the properties.
    pub(super) fn layer(&self) -> Layer {
        Layer(self.settings.clone())
    }
}

/// What is left of the environment's layer.
#[derive(Debug, Clone)]
pub(super) struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Variables with the project's prefix that no layer reads.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// Settings but for their underscores, one text each: to be refused.
    pub meant_as_settings: Vec<String>,
    /// Others, one text each, with the closest setting where one is close: to be warned of. They
    /// may be somebody else's, e.g. those that Kubernetes makes for a service called `axs`.
    pub unknown: Vec<String>,
}

impl Strays {
    /// Sorts out the names of variables.
    ///
    /// # Errors
    /// The defaults can't be read.
    pub fn among(names: impl IntoIterator<Item = String>) -> Result<Self, ConfigError> {
        let settings = setting_names()?;
        let mut strays = Self::default();
        for name in names {
            let upper = name.to_ascii_uppercase();
            if !upper.starts_with(&format!("{ENVIRONMENT_PREFIX}_"))
                || settings.contains(&upper)
                || NOT_SETTINGS.contains(&upper.as_str())
                || TOOLS.iter().any(|tool| upper.starts_with(tool))
            {
                continue;
            }
            match closest(&upper, &settings) {
                Some((0, meant)) => strays
                    .meant_as_settings
                    .push(format!("{name} is no setting; {meant} is")),
                // Unknown sections and keys are errors of the layer itself.
                _ if upper.starts_with(&format!("{ENVIRONMENT_PREFIX}{SEPARATOR}")) => {}
                Some((_, meant)) => strays
                    .unknown
                    .push(format!("{name} is read by nobody; did you mean {meant}?")),
                None => strays.unknown.push(format!(
                    "{name} is read by nobody; a setting is {ENVIRONMENT_PREFIX}__SECTION__KEY"
                )),
            }
        }
        Ok(strays)
    }

    /// Sorts out the variables of this process.
    ///
    /// # Errors
    /// As [`Strays::among`].
    pub fn here() -> Result<Self, ConfigError> {
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        Self::among(names)
    }
}

/// Every setting, as a variable is called.
fn setting_names() -> Result<Vec<String>, ConfigError> {
    let defaults: BTreeMap<String, BTreeMap<String, Value>> = Config::builder()
        .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
        .build()?
        .try_deserialize()?;
    let names = defaults.iter().flat_map(|(section, keys)| {
        let name = move |key: &String| {
            let parts = [ENVIRONMENT_PREFIX, section.as_str(), key.as_str()];
            parts.join(SEPARATOR).to_ascii_uppercase()
        };
        keys.keys().map(name)
    });
    Ok(names.collect())
}

/// The setting whose name is closest, underscores left aside, and how far away it is.
fn closest<'a>(name: &str, settings: &'a [String]) -> Option<(usize, &'a str)> {
    let letters = |name: &str| name.replace('_', "");
    let wanted = letters(name);
    settings
        .iter()
        .map(|setting| {
            let distance = strsim::damerau_levenshtein(&wanted, &letters(setting));
            (distance, setting.as_str())
        })
        .min()
        .filter(|(distance, _)| *distance <= DISTANCE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(name: &str) -> Strays {
        Strays::among([name.to_owned()]).unwrap()
    }

    #[test]
    fn a_setting_with_the_wrong_underscores_is_named_with_the_right_ones() {
        for (name, meant) in [
            ("AXS_DATABASE_URL", "AXS__DATABASE__URL"),
            ("AXS_LEASE__TTL_MS", "AXS__LEASE__TTL_MS"),
            ("AXS__LEASE_TTL_MS", "AXS__LEASE__TTL_MS"),
            (
                "axs_write_side_batch_items_max",
                "AXS__WRITE_SIDE__BATCH_ITEMS_MAX",
            ),
        ] {
            let strays = among(name);
            let [said] = strays.meant_as_settings.as_slice() else {
                panic!("{name}: {strays:?}");
            };
            assert!(said.contains(name) && said.contains(meant), "{said}");
            assert_eq!(strays.unknown, [""; 0], "{name}");
        }
    }

    #[test]
    fn a_name_that_is_nearly_a_setting_is_told_with_it_and_a_foreign_one_alone() {
        for (name, meant) in [
            ("AXS_DATABSE_URL", "did you mean AXS__DATABASE__URL?"),
            ("AXS_KAFKA_BROKER", "did you mean AXS__KAFKA__BROKERS?"),
            ("AXS_PORT_50051_TCP_ADDR", "AXS__SECTION__KEY"),
            ("AXS_SERVICE_HOST", "AXS__SECTION__KEY"),
        ] {
            let strays = among(name);
            assert_eq!(strays.meant_as_settings, [""; 0], "{name}");
            let [said] = strays.unknown.as_slice() else {
                panic!("{name}: {strays:?}");
            };
            assert!(said.contains(name) && said.contains(meant), "{said}");
        }
    }

    #[test]
    fn settings_and_what_is_meant_for_others_are_left_alone() {
        for name in [
            "AXS__DATABASE__URL",
            "axs__database__url",
            "AXS__LEASE__TTL",
            "AXS_CONFIG",
            "AXS_FAILPOINTS",
            "AXS_TEST_DATABASE_URL",
            "AXS_ALLOW_SKIPS",
            "AXSE_DATABASE_URL",
            "DATABASE_URL",
        ] {
            assert_eq!(among(name), Strays::default(), "{name}");
        }
    }
}
