//! librdkafka's own log lines, as ours.

use axs_kafka::log_line;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// Sends librdkafka's lines to `tracing`, under the target `librdkafka`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClientLog;

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log_line(level, facility, line);
    }

    /// Global errors are mostly brokers that are away, which librdkafka settles by itself.
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "librdkafka", %error, "{reason}");
    }
}

impl rdkafka::consumer::ConsumerContext for ClientLog {}

/// For producers that send no records.
impl rdkafka::producer::ProducerContext for ClientLog {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::message::DeliveryResult<'_>, (): ()) {}
}
