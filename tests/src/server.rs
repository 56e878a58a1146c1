//! The servers that tests run on: those of `make up`, or your own.

use anyhow::{Context, Result, bail};
use std::env;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use url::Url;

/// Which Kafka answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaKind {
    /// Apache Kafka, private or given from outside.
    Apache,
    /// librdkafka's mock broker: in memory, without topic administration.
    Mock,
}

/// Where PostgreSQL, Redis and Kafka answer.
#[derive(Debug, Clone)]
pub struct Servers {
    /// PostgreSQL over TCP, with a user that may create databases.
    pub database: Url,
    /// Redis.
    pub redis: Url,
    /// Kafka's bootstrap addresses.
    pub brokers: String,
    /// Which Kafka it is.
    pub kafka: KafkaKind,
    /// The mock broker's control port, which makes topics.
    pub mock_control: Option<String>,
    /// Apache Kafka's data folder, when the broker is private.
    pub kafka_folder: Option<PathBuf>,
}

impl Servers {
    /// Reads the addresses that `make test` and `make demo` set.
    ///
    /// # Errors
    /// Names the missing variable and what to do. A test without servers fails; it never passes
    /// in silence.
    pub fn from_env() -> Result<Self> {
        let kafka = match env::var("AXS_TEST_KAFKA_KIND").as_deref() {
            Ok("mock") => KafkaKind::Mock,
            Ok("apache" | "external") | Err(_) => KafkaKind::Apache,
            Ok(other) => bail!("AXS_TEST_KAFKA_KIND is {other:?}; apache, external or mock"),
        };
        Ok(Self {
            database: address("AXS_TEST_DATABASE_URL")?,
            redis: address("AXS_TEST_REDIS_URL")?,
            brokers: required("AXS_TEST_KAFKA_BROKERS")?,
            kafka,
            mock_control: optional("AXS_TEST_KAFKA_CONTROL"),
            kafka_folder: optional("AXS_TEST_KAFKA_DATA").map(PathBuf::from),
        })
    }

    /// The address of another database of the same server.
    #[must_use]
    pub fn database_named(&self, name: &str) -> Url {
        let mut url = self.database.clone();
        url.set_path(name);
        url
    }
}

fn required(name: &str) -> Result<String> {
    optional(name).with_context(|| {
        format!("{name} is not set: run `make test`, or source .servers/env after `make up`")
    })
}

fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn address(name: &str) -> Result<Url> {
    // The value may hold a password, so the message shows the name alone.
    Url::parse(&required(name)?).with_context(|| format!("{name} is no URL"))
}

/// Notes that a test could not run on these servers: one line in the file named by
/// `AXS_TEST_SKIPS`, which `make test` counts and shows at the end.
///
/// # Errors
/// The file can't be written.
pub fn note_skipped(test: &str, reason: &str) -> Result<()> {
    let Some(path) = optional("AXS_TEST_SKIPS") else {
        return Ok(());
    };
    let mut file = File::options().create(true).append(true).open(path)?;
    // One write, so that lines of tests side by side don't mix.
    file.write_all(format!("{test}\t{reason}\n").as_bytes())?;
    Ok(())
}
