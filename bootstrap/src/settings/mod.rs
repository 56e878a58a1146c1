//! Settings: defaults, then a file, then the environment; validated before anything starts.
//!
//! | layer | where |
//! |---|---|
//! | defaults | `config/default.toml`, carried by the binary: every key, with its meaning and bounds |
//! | file | `--config FILE` or `AXS_CONFIG` |
//! | environment | `AXS__SECTION__KEY`, e.g. `AXS__DATABASE__URL`; librdkafka's `sasl.password` is `AXS__KAFKA__PROPERTIES__SASL_PASSWORD` |
//!
//! A later layer wins key by key. A key that nobody knows is an error, and so is a value out of
//! bounds: the message names the key. So is a variable that would be a setting with the right
//! underscores; see [`Strays`]. Secrets are never printed.

mod cache;
mod database;
mod environment;
mod grpc;
mod kafka;
mod lease;
mod log;
mod ops;
mod processing;
mod reading;
mod rules;
mod secret;
mod write_side;

pub use cache::CacheSection;
pub use database::DatabaseSection;
pub use environment::Strays;
pub use grpc::GrpcSection;
pub use kafka::KafkaSection;
pub use lease::LeaseSection;
pub use log::{LogFormat, LogSection};
pub use ops::OpsSection;
pub use processing::ProcessingSection;
pub use reading::ReadingSection;
pub use rules::RulesSection;
pub use secret::Secret;
pub use write_side::WriteSideSection;

use config::{Config, ConfigError, Environment, File, FileFormat};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

/// The defaults, with the documentation of every key.
pub const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// The prefix of environment variables; sections and keys follow, each after `__`.
pub const ENVIRONMENT_PREFIX: &str = "AXS";

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// PostgreSQL.
    pub database: DatabaseSection,
    /// Redis.
    pub cache: CacheSection,
    /// Kafka.
    pub kafka: KafkaSection,
    /// The API's way from request to log to topic.
    pub write_side: WriteSideSection,
    /// The consumer's way from topic to balances.
    pub processing: ProcessingSection,
    /// How long leadership lasts.
    pub lease: LeaseSection,
    /// Reads of balances.
    pub reading: ReadingSection,
    /// The gRPC server.
    pub grpc: GrpcSection,
    /// Liveness, readiness and metrics.
    pub ops: OpsSection,
    /// Business rules.
    pub rules: RulesSection,
    /// What is logged, and how.
    pub log: LogSection,
}

/// Settings that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A layer can't be read, or a key has the wrong type or is unknown.
    #[error("settings: {0}")]
    Unreadable(String),
    /// Values out of bounds, one line each.
    #[error("settings: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

impl SettingsError {
    /// What makes an error about the value of a key one of the settings, for the ending of the
    /// process.
    pub fn at<E: std::fmt::Display>(key: &'static str) -> impl FnOnce(E) -> Self {
        move |error| Self::Invalid(vec![format!("{key}: {error}")])
    }
}

impl From<ConfigError> for SettingsError {
    fn from(error: ConfigError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl Settings {
    /// Reads all layers and checks every value.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, or the variable that is none.
    pub fn load(file: Option<&Path>, strays: &Strays) -> Result<Self, SettingsError> {
        if !strays.meant_as_settings.is_empty() {
            return Err(SettingsError::Invalid(strays.meant_as_settings.clone()));
        }
        Self::from_layers(file.map(Path::to_path_buf), environment::layer())
    }

    fn from_layers(file: Option<PathBuf>, environment: Environment) -> Result<Self, SettingsError> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            builder = builder.add_source(File::from(path).format(FileFormat::Toml));
        }
        let variables = environment::Variables::read(&environment)?;
        let layers = builder.add_source(variables.layer()).build()?;
        let mut settings: Self = serde_path_to_error::deserialize(layers).map_err(|error| {
            let path = error.path().to_string();
            let problem = if path.starts_with("kafka.properties") {
                // The error itself would name the value.
                "is a text below [kafka.properties]; a name with dots stands in quotes".to_owned()
            } else {
                error.into_inner().to_string()
            };
            SettingsError::Unreadable(format!("{path}: {problem}"))
        })?;
        settings.kafka.properties.extend(variables.properties);
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let mut problems = Vec::new();
        let mut section = |name: &str, result: Result<(), ValidationErrors>| {
            if let Err(errors) = result {
                describe(name, &errors, &mut problems);
            }
        };
        section("database", self.database.validate());
        section("cache", self.cache.validate());
        section("kafka", self.kafka.validate());
        section("write_side", self.write_side.validate());
        section("processing", self.processing.validate());
        section("lease", self.lease.validate());
        section("reading", self.reading.validate());
        section("grpc", self.grpc.validate());
        section("ops", self.ops.validate());
        problems.extend(self.database.problems());
        problems.extend(self.cache.problems());
        problems.extend(self.kafka.problems());
        problems.extend(self.grpc.problems());
        problems.extend(self.ops.problems());
        problems.extend(self.rules.problems());
        // A batch that waits for a row is written beside those transactions.
        let connections = self.database.writer_connections_max;
        let transactions = self.processing.transactions_max;
        if usize::try_from(connections).unwrap_or(usize::MAX) <= transactions {
            problems.push(format!(
                "database.writer_connections_max is {connections}; it must be above \
                 processing.transactions_max, {transactions}"
            ));
        }
        // The relay must not look at a row whose transaction may still be under way.
        if self.processing.relay_grace_ms <= self.database.statement_timeout_ms {
            problems.push(format!(
                "processing.relay_grace_ms is {}; it must be above database.statement_timeout_ms, {}",
                self.processing.relay_grace_ms, self.database.statement_timeout_ms
            ));
        }
        if u64::from(self.write_side.publish_window_events)
            < u64::try_from(self.write_side.batch_items_max).unwrap_or(u64::MAX)
        {
            problems.push(format!(
                "write_side.publish_window_events is {}; it must hold a request of write_side.batch_items_max, {}",
                self.write_side.publish_window_events, self.write_side.batch_items_max
            ));
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(SettingsError::Invalid(problems))
        }
    }
}

/// One line for each value out of bounds: the key, the value and the bounds.
fn describe(section: &str, errors: &ValidationErrors, problems: &mut Vec<String>) {
    for (field, kind) in errors.errors() {
        let key = format!("{section}.{field}");
        match kind {
            ValidationErrorsKind::Field(errors) => {
                for error in errors {
                    let mut bounds: Vec<String> = error
                        .params
                        .iter()
                        .map(|(name, value)| format!("{name} {value}"))
                        .collect();
                    bounds.sort();
                    problems.push(format!("{key} is out of bounds ({})", bounds.join(", ")));
                }
            }
            ValidationErrorsKind::Struct(inner) => describe(&key, inner, problems),
            ValidationErrorsKind::List(items) => {
                for (index, inner) in items {
                    describe(&format!("{key}[{index}]"), inner, problems);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
