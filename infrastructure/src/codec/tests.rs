//! Claims about payloads and envelopes.

use super::ProtobufEventCodec;
use super::event::{event_from_message, event_to_message};
use axs_application::port::event_codec::{EnvelopeError, EnvelopeHeader, EventCodec};
use axs_domain::amount::{Amount, UNITS_MAX};
use axs_domain::balance::Delta;
use axs_domain::change::{BalanceChange, CurrencyDelta};
use axs_domain::currency::CurrencyCode;
use axs_domain::event::{BalanceChangeEvent, CHANGES_MAX, EventParts};
use axs_domain::id::{AccountId, LayoutEpoch, LogId, ShardId, UserId};
use axs_domain::text::{ChangeId, EventId, EventType, IdempotencyKey, OrderId, SourceService};
use axs_domain::time::Timestamp;
use axs_proto::v1;
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;
use uuid::Uuid;

const CODEC: ProtobufEventCodec = ProtobufEventCodec {};
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn header() -> EnvelopeHeader {
    EnvelopeHeader {
        log_id: LogId::parse("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b").unwrap(),
        shard_id: ShardId::try_new(7).unwrap(),
        layout_epoch: LayoutEpoch::try_new(3).unwrap(),
        logged_at: Timestamp::from_unix_micros(1_700_000_000_000_001),
        traceparent: Some(TRACEPARENT.to_owned()),
    }
}

fn change_message(available: &str, frozen: &str) -> v1::BalanceChange {
    v1::BalanceChange {
        change_id: "c-1".into(),
        currency_code: "USDT".into(),
        available_delta: available.into(),
        frozen_delta: frozen.into(),
        fallback: Some(v1::BalanceChangeFallback {
            currency_code: "BTC".into(),
            available_delta: "-0.000000000000000001".into(),
            frozen_delta: "0".into(),
        }),
    }
}

fn event_message() -> v1::BalanceChangeEvent {
    v1::BalanceChangeEvent {
        event_id: "e-1".into(),
        event_type: "order.hold".into(),
        account_id: 42,
        user_id: 4,
        source_service: "matching".into(),
        related_order_id: "o-9".into(),
        idempotency_key: "k-1".into(),
        created_msec: 1_700_000_000_000,
        changes: vec![change_message("-12.5", "12.5")],
    }
}

fn envelope_message() -> v1::BalanceChangeEnvelope {
    let EnvelopeHeader {
        log_id, shard_id, ..
    } = header();
    v1::BalanceChangeEnvelope {
        schema_version: 1,
        log_id: Bytes::copy_from_slice(log_id.uuid().as_bytes()),
        layout_epoch: 3,
        logged_at_usec: 1_700_000_000_000_001,
        traceparent: TRACEPARENT.into(),
        shard_id: shard_id.value(),
        event: Some(event_message()),
    }
}

fn undecodable(record: Vec<u8>) -> (String, Option<LogId>) {
    match CODEC.decode_envelope(record.into()) {
        Err(EnvelopeError::Undecodable { reason, log_id }) => (reason, log_id),
        other => panic!("expected undecodable, got {other:?}"),
    }
}

#[test]
fn an_envelope_is_the_published_message_with_the_payload_as_its_event() {
    let payload: Bytes = event_message().encode_to_vec().into();
    let record = CODEC.encode_envelope(header(), payload);
    assert_eq!(
        v1::BalanceChangeEnvelope::decode(record).unwrap(),
        envelope_message()
    );
}

#[test]
fn an_envelope_carries_its_payload_byte_for_byte_even_one_it_could_not_read() {
    let payload = Bytes::from_static(b"\xff\xff not an event");
    let record = CODEC.encode_envelope(header(), payload.clone());
    assert!(record.ends_with(&payload));
    let (reason, log_id) = undecodable(record.to_vec());
    assert_eq!(log_id, Some(header().log_id), "{reason}");
}

#[test]
fn a_newer_version_is_no_poison_whatever_else_it_holds() {
    for (found, rest) in [(2, &b""[..]), (3, b"\x7a\x03abc"), (1_001, b"\x12\x02ab")] {
        let mut record = v1::EnvelopeVersion {
            schema_version: found,
        }
        .encode_to_vec();
        record.extend_from_slice(rest);
        assert_eq!(
            CODEC.decode_envelope(record.into()),
            Err(EnvelopeError::NewerVersion { found, known: 1 })
        );
    }
}

#[test]
fn a_version_that_never_was_is_garbage_and_not_a_newer_version() {
    for schema_version in [0, 1_002, u32::MAX] {
        let record = v1::BalanceChangeEnvelope {
            schema_version,
            ..envelope_message()
        };
        let (reason, log_id) = undecodable(record.encode_to_vec());
        assert!(reason.contains("schema_version"), "{reason}");
        assert_eq!(log_id, Some(header().log_id));
    }
}

#[test]
fn what_no_api_would_have_written_is_undecodable_and_names_the_field_and_the_log_id() {
    type Spoil = fn(&mut v1::BalanceChangeEnvelope);
    let rows: &[(&str, Spoil)] = &[
        ("shard_id", |e| e.shard_id = -1),
        ("layout_epoch", |e| e.layout_epoch = 0),
        ("logged_at_usec", |e| e.logged_at_usec = -1),
        ("logged_at_usec", |e| e.logged_at_usec = i64::MAX),
        ("event", |e| e.event = None),
        ("event.event_id", |e| event(e).event_id = String::new()),
        ("event.account_id", |e| event(e).account_id = 0),
        ("event.changes", |e| event(e).changes.clear()),
        ("event.changes[0].available_delta", |e| {
            event(e).changes[0].available_delta = "1e3".into();
        }),
    ];
    for (field, spoil) in rows {
        let mut message = envelope_message();
        spoil(&mut message);
        let (reason, log_id) = undecodable(message.encode_to_vec());
        assert!(reason.starts_with(field), "{field}: {reason}");
        assert_eq!(log_id, Some(header().log_id), "{field}");
    }
}

fn event(envelope: &mut v1::BalanceChangeEnvelope) -> &mut v1::BalanceChangeEvent {
    envelope.event.as_mut().unwrap()
}

#[test]
fn a_log_id_that_is_no_uuid_is_undecodable_without_a_log_id() {
    for log_id in [&b""[..], b"fifteen bytes..", b"seventeen bytes.."] {
        let message = v1::BalanceChangeEnvelope {
            log_id: Bytes::copy_from_slice(log_id),
            ..envelope_message()
        };
        let (reason, found) = undecodable(message.encode_to_vec());
        assert!(reason.starts_with("log_id"), "{reason}");
        assert_eq!(found, None);
    }
}

#[test]
fn bytes_that_are_no_envelope_are_undecodable() {
    for bytes in [&b""[..], b"garbage", b"{\"a\":1}", b"\0\0\0\0", b"\xff\xff"] {
        assert_eq!(undecodable(bytes.to_vec()).1, None, "{bytes:?}");
    }
}

#[test]
fn a_trace_context_that_is_none_is_left_out_and_refuses_no_event() {
    let over_long = "0".repeat(129);
    for traceparent in ["", "a b", "new\nline", "\u{e9}", &over_long] {
        let message = v1::BalanceChangeEnvelope {
            traceparent: traceparent.into(),
            ..envelope_message()
        };
        let envelope = CODEC.decode_envelope(message.encode_to_vec().into());
        assert_eq!(envelope.unwrap().header.traceparent, None);
        let spoilt = EnvelopeHeader {
            traceparent: Some(traceparent.to_owned()),
            ..header()
        };
        let record = CODEC.encode_envelope(spoilt, event_message().encode_to_vec().into());
        let read = CODEC.decode_envelope(record).unwrap();
        assert_eq!(read.header.traceparent, None, "{traceparent:?}");
    }
}

#[test]
fn of_a_payload_that_no_api_would_have_written_the_first_wrong_field_is_told() {
    let mut message = event_message();
    message.user_id = -4;
    message.changes[0].fallback.as_mut().unwrap().frozen_delta = "-0".into();
    let refused = CODEC.decode_payload(message.encode_to_vec().into());
    assert_eq!(
        refused.unwrap_err().reason,
        "user_id is -4; expected 1 or more"
    );
}

prop_compose! {
    fn amounts()(units in prop_oneof![
        -UNITS_MAX..=UNITS_MAX,
        prop::sample::select(vec![UNITS_MAX, -UNITS_MAX, 1, -1, 0]),
    ]) -> Amount {
        Amount::try_from_units(units).unwrap()
    }
}

prop_compose! {
    fn currency_deltas(letter: char)(available in amounts(), frozen in amounts(), code in "[A-Z0-9_.-]{0,15}")
        -> CurrencyDelta
    {
        let moved = Delta { available, frozen };
        let one = Delta { available: Amount::try_from_units(1).unwrap(), frozen };
        CurrencyDelta {
            // A first letter of its own, so that a fallback is in another currency.
            currency: CurrencyCode::parse(&format!("{letter}{code}")).unwrap(),
            delta: if moved.is_zero() { one } else { moved },
        }
    }
}

prop_compose! {
    fn events()(
        texts in prop::collection::vec("[^\\s\\p{C}]{1,12}", 5),
        order in prop::option::of("[^\\s\\p{C}]{1,32}"),
        account in 1..=i64::MAX,
        user in 1..=i64::MAX,
        created_msec in any::<i64>(),
        sides in prop::collection::vec(
            (currency_deltas('P'), prop::option::of(currency_deltas('F'))),
            1..=CHANGES_MAX,
        ),
    ) -> BalanceChangeEvent {
        BalanceChangeEvent::try_new(EventParts {
            event_id: EventId::parse(&texts[0]).unwrap(),
            event_type: EventType::parse(&texts[1]).unwrap(),
            account_id: AccountId::try_new(account).unwrap(),
            user_id: UserId::try_new(user).unwrap(),
            source_service: SourceService::parse(&texts[2]).unwrap(),
            related_order_id: order.map(|text| OrderId::parse(&text).unwrap()),
            idempotency_key: IdempotencyKey::parse(&texts[3]).unwrap(),
            created_msec,
            changes: sides
                .into_iter()
                .enumerate()
                .map(|(index, (primary, fallback))| BalanceChange {
                    change_id: ChangeId::parse(&format!("{index}{}", &texts[4])).unwrap(),
                    primary,
                    fallback,
                })
                .collect(),
        })
        .unwrap()
    }
}

prop_compose! {
    fn headers()(
        log_id in any::<u128>(),
        shard in 0..=i32::MAX,
        epoch in 1..=i32::MAX,
        logged_at in 0..=253_402_300_799_999_999i64,
        traceparent in prop::option::of("[!-~]{1,128}"),
    ) -> EnvelopeHeader {
        EnvelopeHeader {
            log_id: LogId::new(Uuid::from_u128(log_id)),
            shard_id: ShardId::try_new(shard).unwrap(),
            layout_epoch: LayoutEpoch::try_new(epoch).unwrap(),
            logged_at: Timestamp::from_unix_micros(logged_at),
            traceparent,
        }
    }
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_same_event(event in events(), header in headers()) {
        let payload = CODEC.encode_payload(&event);
        prop_assert_eq!(CODEC.decode_payload(payload.clone()), Ok(event.clone()));
        let envelope = CODEC.decode_envelope(CODEC.encode_envelope(header.clone(), payload)).unwrap();
        prop_assert_eq!(envelope.header, header);
        prop_assert_eq!(&envelope.event, &event);
        prop_assert_eq!(event_from_message(&event_to_message(&event)), Ok(event));
    }

    #[test]
    fn no_bytes_make_the_codec_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = CODEC.decode_envelope(bytes.clone().into());
        let _ = CODEC.decode_payload(bytes.into());
    }

    /// Mutations keep most of an envelope's shape, so that they reach what random bytes do not.
    #[test]
    fn no_mutation_of_an_envelope_makes_the_codec_panic(
        event in events(),
        header in headers(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = CODEC
            .encode_envelope(header, CODEC.encode_payload(&event))
            .to_vec();
        for (index, byte) in edits {
            let position = index.index(bytes.len());
            bytes[position] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(read) = CODEC.decode_envelope(bytes.into()) {
            // What is still an envelope holds an event that the domain accepts, unchanged by
            // another trip.
            let payload = CODEC.encode_payload(&read.event);
            prop_assert_eq!(CODEC.decode_payload(payload), Ok(read.event));
        }
    }
}
