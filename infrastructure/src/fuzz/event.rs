//! Payloads and envelopes, against the message itself and a second reading.

use super::seed::Mutated;
use super::{catches, drive};
use crate::codec::ProtobufEventCodec;
use axs_application::port::event_codec::{
    Envelope, EnvelopeError, EnvelopeHeader, EventCodec, PayloadError,
};
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use axs_proto::v1;
use bytes::Bytes;
use prost::Message;

const CODEC: ProtobufEventCodec = ProtobufEventCodec {};

fn seeds() -> Mutated {
    Mutated::hex(include_str!("../../corpus/event.hex"))
}

/// Every text of an event, in order. What an event says and what its message says must be one
/// thing, byte for byte: nothing is trimmed, folded or rounded.
fn texts_of_message(message: &v1::BalanceChangeEvent) -> Vec<String> {
    let mut texts = vec![
        message.event_id.clone(),
        message.event_type.clone(),
        message.account_id.to_string(),
        message.user_id.to_string(),
        message.source_service.clone(),
        message.related_order_id.clone(),
        message.idempotency_key.clone(),
        message.created_msec.to_string(),
    ];
    for change in &message.changes {
        texts.extend([change.change_id.clone(), change.currency_code.clone()]);
        texts.extend([
            shortest(&change.available_delta),
            shortest(&change.frozen_delta),
        ]);
        if let Some(fallback) = &change.fallback {
            texts.push(fallback.currency_code.clone());
            texts.extend([
                shortest(&fallback.available_delta),
                shortest(&fallback.frozen_delta),
            ]);
        }
    }
    texts
}

/// A decimal without the zeros that say nothing.
fn shortest(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    }
}

fn texts_of_event(event: &BalanceChangeEvent) -> Vec<String> {
    let mut texts = vec![
        event.event_id().to_string(),
        event.event_type().to_string(),
        event.account_id().to_string(),
        event.user_id().to_string(),
        event.source_service().to_string(),
        event
            .related_order_id()
            .map(ToString::to_string)
            .unwrap_or_default(),
        event.idempotency_key().to_string(),
        event.created_msec().to_string(),
    ];
    for change in event.changes() {
        texts.push(change.change_id.to_string());
        for part in std::iter::once(change.primary).chain(change.fallback) {
            texts.push(part.currency.to_string());
            texts.push(shortest(&part.delta.available.to_string()));
            texts.push(shortest(&part.delta.frozen.to_string()));
        }
    }
    texts
}

type ReadPayload = fn(Bytes) -> Result<BalanceChangeEvent, PayloadError>;
type ReadEnvelope = fn(Bytes) -> Result<Envelope, EnvelopeError>;

fn check(bytes: &[u8], payload: ReadPayload, envelope: ReadEnvelope) -> Result<(), String> {
    check_payload(Bytes::copy_from_slice(bytes), payload)?;
    check_envelope(Bytes::copy_from_slice(bytes), envelope)
}

fn check_payload(bytes: Bytes, read: ReadPayload) -> Result<(), String> {
    let Ok(event) = read(bytes.clone()) else {
        return Ok(());
    };
    let message = v1::BalanceChangeEvent::decode(bytes).map_err(|e| e.to_string())?;
    let (said, meant) = (texts_of_event(&event), texts_of_message(&message));
    if said != meant {
        return Err(format!("read as {said:?}, the message says {meant:?}"));
    }
    let written = CODEC.encode_payload(&event);
    let again = read(written.clone()).map_err(|e| format!("what was written is not read: {e}"))?;
    if again != event || Fingerprint::of(&again) != Fingerprint::of(&event) {
        return Err("what was written is read as another event".to_owned());
    }
    if CODEC.encode_payload(&again) != written {
        return Err("one event is written in two forms".to_owned());
    }
    Ok(())
}

fn check_envelope(bytes: Bytes, read: ReadEnvelope) -> Result<(), String> {
    let message = v1::BalanceChangeEnvelope::decode(bytes.clone());
    let Envelope { header, event } = match read(bytes.clone()) {
        Ok(envelope) => envelope,
        // Nothing but the version may be looked at.
        Err(EnvelopeError::NewerVersion { found, known }) => {
            let version = v1::EnvelopeVersion::decode(bytes).map_err(|e| e.to_string())?;
            return match version.schema_version == found && found > known {
                true => Ok(()),
                false => Err(format!("found version {found}, which it does not say")),
            };
        }
        Err(EnvelopeError::Undecodable { .. }) => return Ok(()),
    };
    let message = message.map_err(|error| format!("read, though it is none: {error}"))?;
    let event_message = message.event.clone().unwrap_or_default();
    if message.schema_version != 1 || !says(&header, &message) {
        return Err(format!("{header:?} is not what {message:?} says"));
    }
    let (said, meant) = (texts_of_event(&event), texts_of_message(&event_message));
    if said != meant {
        return Err(format!("read as {said:?}, the message says {meant:?}"));
    }
    let written = CODEC.encode_envelope(header.clone(), CODEC.encode_payload(&event));
    match read(written) {
        Ok(again) if again == (Envelope { header, event }) => Ok(()),
        other => Err(format!("what was written is read as {other:?}")),
    }
}

fn says(header: &EnvelopeHeader, message: &v1::BalanceChangeEnvelope) -> bool {
    header.log_id.uuid().as_bytes() == message.log_id.as_ref()
        && header.layout_epoch.value() == message.layout_epoch
        && header.shard_id.value() == message.shard_id
        && header.logged_at.unix_micros() == message.logged_at_usec
        && header
            .traceparent
            .as_ref()
            .is_none_or(|text| *text == message.traceparent)
}

fn read_payload(bytes: Bytes) -> Result<BalanceChangeEvent, PayloadError> {
    CODEC.decode_payload(bytes)
}

fn read_envelope(bytes: Bytes) -> Result<Envelope, EnvelopeError> {
    CODEC.decode_envelope(bytes)
}

#[test]
fn payloads_and_envelopes_are_read_as_they_say_or_refused() {
    drive(&seeds(), |bytes| check(bytes, read_payload, read_envelope));
}

#[test]
fn most_seeds_are_told_apart() {
    let seeds = seeds().seeds;
    let payloads = seeds
        .iter()
        .filter(|s| read_payload(Bytes::copy_from_slice(s)).is_ok());
    let envelopes = seeds
        .iter()
        .filter(|s| read_envelope(Bytes::copy_from_slice(s)).is_ok());
    assert!(
        payloads.count() >= 5,
        "the corpus holds too few sound payloads"
    );
    assert!(
        envelopes.count() >= 5,
        "the corpus holds too few sound envelopes"
    );
}

#[test]
fn a_reader_that_forgets_fallbacks_is_caught() {
    let forgetful: ReadPayload = |bytes| {
        let mut message = v1::BalanceChangeEvent::decode(bytes.clone()).unwrap_or_default();
        message
            .changes
            .iter_mut()
            .for_each(|change| change.fallback = None);
        read_payload(bytes)?;
        read_payload(message.encode_to_vec().into())
    };
    assert!(catches(&seeds(), |bytes| check(
        bytes,
        forgetful,
        read_envelope
    )));
}

#[test]
fn a_reader_that_takes_any_version_is_caught() {
    let careless: ReadEnvelope = |bytes| {
        let mut message = v1::BalanceChangeEnvelope::decode(bytes).unwrap_or_default();
        message.schema_version = 1;
        read_envelope(message.encode_to_vec().into())
    };
    assert!(catches(&seeds(), |bytes| check(
        bytes,
        read_payload,
        careless
    )));
}
