//! librdkafka's own log lines, as ours.

use rdkafka::config::RDKafkaLogLevel;

/// Sends a line of librdkafka to `tracing`, under the target `librdkafka`.
pub fn log_line(level: RDKafkaLogLevel, facility: &str, line: &str) {
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
