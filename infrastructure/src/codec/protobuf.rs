//! Payloads and envelopes.
//!
//! An envelope is written around a payload without reading it: the payload is the message of the
//! event already, and is spliced in as field 15. What the topic carries is therefore byte for
//! byte what the log row holds.

use super::event::{event_from_message, event_to_message};
use axs_application::port::event_codec::{
    Envelope, EnvelopeError, EnvelopeHeader, EventCodec, PayloadError,
};
use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::{LayoutEpoch, LogId, ShardId};
use axs_domain::time::Timestamp;
use axs_proto::{ENVELOPE_SCHEMA_VERSION, v1};
use bytes::{Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use shaku::Component;
use uuid::Uuid;

/// The field of the event in `BalanceChangeEnvelope`; pinned by a test.
const EVENT_FIELD: u32 = 15;

/// Schema versions go up one at a time. A number further ahead than this was never a version:
/// such bytes are garbage, and must not stop a partition as an upgrade in the wrong order does.
const VERSION_STEPS_MAX: u32 = 1_000;

/// The end of the year 9999. PostgreSQL's clock says nothing later, and its timestamps and ours
/// both hold everything up to it.
const LOGGED_AT_USEC_MAX: i64 = 253_402_300_799_999_999;

/// A trace context of today has 55 characters; later versions may add to it.
const TRACEPARENT_LENGTH_MAX: usize = 128;

/// The message of an event as the payload, spliced into the versioned envelope.
#[derive(Component, Debug, Default, Clone, Copy)]
#[shaku(interface = EventCodec)]
pub struct ProtobufEventCodec {}

impl EventCodec for ProtobufEventCodec {
    fn encode_payload(&self, event: &BalanceChangeEvent) -> Bytes {
        event_to_message(event).encode_to_vec().into()
    }

    fn decode_payload(&self, payload: Bytes) -> Result<BalanceChangeEvent, PayloadError> {
        let message = v1::BalanceChangeEvent::decode(payload).map_err(|error| PayloadError {
            reason: error.to_string(),
        })?;
        event_from_message(&message).map_err(|flaw| PayloadError {
            reason: flaw.to_string(),
        })
    }

    fn encode_envelope(&self, header: EnvelopeHeader, payload: Bytes) -> Bytes {
        let head = v1::BalanceChangeEnvelope {
            schema_version: ENVELOPE_SCHEMA_VERSION,
            log_id: Bytes::copy_from_slice(header.log_id.uuid().as_bytes()),
            layout_epoch: header.layout_epoch.value(),
            logged_at_usec: header.logged_at.unix_micros(),
            traceparent: header
                .traceparent
                .filter(|context| is_trace_context(context))
                .unwrap_or_default(),
            shard_id: header.shard_id.value(),
            event: None,
        };
        // A usize is at most 64 bits wide: the length always fits.
        let payload_length = payload.len() as u64;
        let mut record = BytesMut::with_capacity(
            head.encoded_len()
                + key_len(EVENT_FIELD)
                + encoded_len_varint(payload_length)
                + payload.len(),
        );
        head.encode_raw(&mut record);
        encode_key(EVENT_FIELD, WireType::LengthDelimited, &mut record);
        encode_varint(payload_length, &mut record);
        record.extend_from_slice(&payload);
        record.freeze()
    }

    fn decode_envelope(&self, record: Bytes) -> Result<Envelope, EnvelopeError> {
        check_version(&record)?;
        read_envelope(&record).map_err(|reason| EnvelopeError::Undecodable {
            reason,
            log_id: log_id_of(record),
        })
    }
}

/// Looks at the version first: of a newer envelope nothing else can be known.
fn check_version(record: &Bytes) -> Result<(), EnvelopeError> {
    let undecodable = |reason| EnvelopeError::Undecodable {
        reason,
        log_id: log_id_of(record.clone()),
    };
    let known = ENVELOPE_SCHEMA_VERSION;
    match v1::EnvelopeVersion::decode(record.clone()) {
        Err(error) => Err(undecodable(format!("no envelope: {error}"))),
        Ok(v1::EnvelopeVersion { schema_version: 0 }) => {
            Err(undecodable("schema_version is missing".to_owned()))
        }
        Ok(v1::EnvelopeVersion { schema_version }) if schema_version <= known => Ok(()),
        Ok(v1::EnvelopeVersion { schema_version })
            if schema_version - known <= VERSION_STEPS_MAX =>
        {
            Err(EnvelopeError::NewerVersion {
                found: schema_version,
                known,
            })
        }
        Ok(v1::EnvelopeVersion { schema_version }) => Err(undecodable(format!(
            "schema_version is {schema_version}, which no AXS writes"
        ))),
    }
}

fn read_envelope(record: &Bytes) -> Result<Envelope, String> {
    let message = v1::BalanceChangeEnvelope::decode(record.clone()).map_err(|e| e.to_string())?;
    let header = header_of(&message)?;
    let event = message.event.ok_or("event is missing")?;
    let event = event_from_message(&event).map_err(|flaw| format!("event.{flaw}"))?;
    Ok(Envelope { header, event })
}

fn header_of(message: &v1::BalanceChangeEnvelope) -> Result<EnvelopeHeader, String> {
    let log_id = Uuid::from_slice(&message.log_id).map_err(|_| {
        format!(
            "log_id is {} bytes long; a UUID has 16",
            message.log_id.len()
        )
    })?;
    if !(0..=LOGGED_AT_USEC_MAX).contains(&message.logged_at_usec) {
        return Err(format!(
            "logged_at_usec is {}, which no clock of PostgreSQL says",
            message.logged_at_usec
        ));
    }
    Ok(EnvelopeHeader {
        log_id: LogId::new(log_id),
        shard_id: ShardId::try_new(message.shard_id)
            .map_err(|problem| format!("shard_id {problem}"))?,
        layout_epoch: LayoutEpoch::try_new(message.layout_epoch)
            .map_err(|problem| format!("layout_epoch {problem}"))?,
        logged_at: Timestamp::from_unix_micros(message.logged_at_usec),
        // Only a hint for tracing: no reason to refuse an event, and none to let it into a log.
        traceparent: Some(&message.traceparent)
            .filter(|context| is_trace_context(context))
            .cloned(),
    })
}

fn is_trace_context(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TRACEPARENT_LENGTH_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The part of an envelope that names its log row, readable where the event is not.
#[derive(Clone, PartialEq, Message)]
struct EnvelopeLogId {
    #[prost(bytes = "bytes", tag = "2")]
    log_id: Bytes,
}

fn log_id_of(record: Bytes) -> Option<LogId> {
    let message = EnvelopeLogId::decode(record).ok()?;
    Uuid::from_slice(&message.log_id).ok().map(LogId::new)
}
