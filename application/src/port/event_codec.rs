//! Events as bytes: the payload of a log row and the envelope on the topic.

use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::{LayoutEpoch, LogId, ShardId};
use axs_domain::time::Timestamp;
use bytes::Bytes;
use shaku::Interface;

/// What AXS knows of an event on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeHeader {
    /// The id of its log row.
    pub log_id: LogId,
    /// The shard of its account.
    pub shard_id: ShardId,
    /// The layout's generation when the partition was chosen.
    pub layout_epoch: LayoutEpoch,
    /// PostgreSQL's time of writing the log row.
    pub logged_at: Timestamp,
    /// The W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// An event read from the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What AXS knows of it.
    pub header: EnvelopeHeader,
    /// What the client asked for.
    pub event: BalanceChangeEvent,
}

/// Why bytes from the topic are no envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Written by a newer AXS: stop the partition and upgrade; this is no poison.
    #[error("schema version {found} is newer than {known}, the newest this build reads")]
    NewerVersion {
        /// The version found.
        found: u32,
        /// The newest one known.
        known: u32,
    },
    /// Not an envelope, or an event that no API would have accepted.
    #[error("undecodable: {reason}")]
    Undecodable {
        /// What is wrong, with the field where one is known.
        reason: String,
        /// The log id, where one could be read.
        log_id: Option<LogId>,
    },
}

/// A payload of a log row can't be read, which must not happen: it was written from an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payload of a log row can't be read: {reason}")]
pub struct PayloadError {
    /// What is wrong.
    pub reason: String,
}

/// Turns events into bytes and back.
///
/// # Contract
/// - Reading what was written gives the same event; nothing panics on any bytes.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
pub trait EventCodec: Interface {
    /// The payload of a log row.
    fn encode_payload(&self, event: &BalanceChangeEvent) -> Bytes;

    /// The event of a payload.
    ///
    /// # Errors
    /// [`PayloadError`].
    fn decode_payload(&self, payload: Bytes) -> Result<BalanceChangeEvent, PayloadError>;

    /// The record on the topic for a payload.
    fn encode_envelope(&self, header: EnvelopeHeader, payload: Bytes) -> Bytes;

    /// The event of a record.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    fn decode_envelope(&self, record: Bytes) -> Result<Envelope, EnvelopeError>;
}
