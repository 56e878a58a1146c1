//! librdkafka's own log lines, as ours.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// Sends librdkafka's lines to `tracing`, under the target `librdkafka`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ClientLog;

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        match level {
            Emerg | Alert | Critical | Error => {
                tracing::error!(target: "librdkafka", facility, "{line}");
            }
            Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
            Notice | Info => tracing::info!(target: "librdkafka", facility, "{line}"),
            Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
        }
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
