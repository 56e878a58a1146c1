//! librdkafka's own log lines, as ours.

use axs_kafka::log_line;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

/// Sends librdkafka's lines to `tracing`, under the target `librdkafka`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClientLog;

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    /// The same errors come out of a poll, where what they mean is decided.
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for ClientLog {}
