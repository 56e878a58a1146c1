//! The record of the result topic.

use super::event::decimal;
use axs_application::port::result_codec::{FinishedEvent, FinishedOutcome, ResultCodec};
use axs_domain::change::Branch;
use axs_domain::decision::LedgerEntry;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::rejection::RejectionCode;
use axs_proto::{RESULT_SCHEMA_VERSION, v1};
use bytes::Bytes;
use prost::Message;
use shaku::Component;

/// Results as `BalanceChangeResult`.
#[derive(Component, Debug, Default, Clone, Copy)]
#[shaku(interface = ResultCodec)]
pub struct ProtobufResultCodec {}

impl ResultCodec for ProtobufResultCodec {
    fn encode(&self, finished: &FinishedEvent) -> Bytes {
        message_of(finished).encode_to_vec().into()
    }
}

fn message_of(finished: &FinishedEvent) -> v1::BalanceChangeResult {
    let event = &finished.event;
    let (status, reason, entries) = match &finished.outcome {
        FinishedOutcome::Applied(entries) => {
            let entries = entries.iter().map(|entry| ledger_entry(event, entry));
            (v1::EventStatus::Applied, None, entries.collect())
        }
        FinishedOutcome::Rejected(reason) => {
            let reason = v1::EventReason {
                code: i32::from(reason.code),
                name: RejectionCode::name_of(reason.code).to_owned(),
                message: reason.message.clone(),
            };
            (v1::EventStatus::Rejected, Some(reason), Vec::new())
        }
    };
    v1::BalanceChangeResult {
        schema_version: RESULT_SCHEMA_VERSION,
        log_id: finished.log_id.to_string(),
        status: status.into(),
        reason,
        entries,
        account_id: event.account_id().value(),
        user_id: event.user_id().value(),
        shard_id: finished.shard_id.value(),
        event_id: event.event_id().as_str().to_owned(),
        event_type: event.event_type().as_str().to_owned(),
        source_service: event.source_service().as_str().to_owned(),
        related_order_id: event
            .related_order_id()
            .map_or_else(String::new, |order| order.as_str().to_owned()),
        idempotency_key: event.idempotency_key().as_str().to_owned(),
        logged_at_usec: finished.logged_at.unix_micros(),
        decided_at_usec: finished.decided_at.unix_micros(),
        event_partition: finished.partition.value(),
        event_offset: finished.offset.value(),
    }
}

fn ledger_entry(event: &BalanceChangeEvent, entry: &LedgerEntry) -> v1::LedgerEntry {
    let change = event.changes().get(entry.change_index);
    v1::LedgerEntry {
        // An event holds at most 64 changes.
        change_index: i32::try_from(entry.change_index).unwrap_or(i32::MAX),
        change_id: change.map_or_else(String::new, |change| change.change_id.as_str().to_owned()),
        currency_code: entry.applied.currency.as_str().to_owned(),
        fallback_taken: entry.branch == Branch::Fallback,
        available_delta: decimal(entry.applied.delta.available),
        frozen_delta: decimal(entry.applied.delta.frozen),
        available_after: decimal(entry.after.balance.available),
        frozen_after: decimal(entry.after.balance.frozen),
        version: entry.after.version.value(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axs_application::port::change_log::RecordedReason;
    use axs_application::testkit::{EventBuilder, amount, code, log_id};
    use axs_domain::balance::{Balance, Delta, VersionedBalance};
    use axs_domain::change::CurrencyDelta;
    use axs_domain::id::{BalanceVersion, Offset, PartitionId, ShardId};
    use axs_domain::time::Timestamp;

    fn finished(outcome: FinishedOutcome) -> FinishedEvent {
        FinishedEvent {
            log_id: log_id(42),
            shard_id: ShardId::try_new(3).unwrap(),
            event: EventBuilder::new(7, "key-1")
                .change("USDT", "-12.5", "0")
                .build(),
            partition: PartitionId::try_new(2).unwrap(),
            offset: Offset::try_new(99).unwrap(),
            outcome,
            logged_at: Timestamp::from_unix_micros(1_000),
            decided_at: Timestamp::from_unix_micros(2_000),
        }
    }

    fn read(finished: &FinishedEvent) -> v1::BalanceChangeResult {
        let codec: &dyn ResultCodec = &ProtobufResultCodec::default();
        assert_eq!(codec.encode(finished), codec.encode(finished));
        v1::BalanceChangeResult::decode(codec.encode(finished)).unwrap()
    }

    #[test]
    fn an_applied_event_carries_its_entries_with_the_balances_after_them() {
        let entry = LedgerEntry {
            change_index: 0,
            branch: Branch::Fallback,
            applied: CurrencyDelta {
                currency: code("BNB"),
                delta: Delta {
                    available: amount("-0.25"),
                    frozen: amount("1"),
                },
            },
            after: VersionedBalance {
                balance: Balance {
                    available: amount("10.000000000000000001"),
                    frozen: amount("1"),
                },
                version: BalanceVersion::try_new(5).unwrap(),
            },
        };
        let event = finished(FinishedOutcome::Applied(vec![entry]));
        let message = read(&event);
        assert_eq!(message.schema_version, RESULT_SCHEMA_VERSION);
        assert_eq!(message.log_id, log_id(42).to_string());
        assert_eq!(message.status(), v1::EventStatus::Applied);
        assert_eq!(message.reason, None);
        let carried = &message.entries[0];
        let change_id = event.event.changes()[0].change_id.to_string();
        assert_eq!(
            (carried.change_id.as_str(), carried.currency_code.as_str()),
            (change_id.as_str(), "BNB")
        );
        assert!(carried.fallback_taken);
        assert_eq!(carried.available_delta, "-0.25");
        assert_eq!(carried.available_after, "10.000000000000000001");
        assert_eq!(carried.frozen_after, "1");
        assert_eq!(carried.version, 5);
        assert_eq!(
            (message.account_id, message.user_id, message.shard_id),
            (7, event.event.user_id().value(), 3)
        );
        assert_eq!(message.idempotency_key, "key-1");
        assert_eq!(message.event_id, event.event.event_id().to_string());
        assert_eq!(message.event_type, event.event.event_type().to_string());
        assert_eq!((message.event_partition, message.event_offset), (2, 99));
        assert_eq!(
            (message.logged_at_usec, message.decided_at_usec),
            (1_000, 2_000)
        );
    }

    #[test]
    fn a_rejected_event_carries_its_reason_and_no_balances() {
        let rows = [
            (1, "INSUFFICIENT_AVAILABLE"),
            (5, "DISCARDED"),
            (77, "UNKNOWN"),
        ];
        for (code, name) in rows {
            let reason = RecordedReason {
                code,
                message: "asked 5, there were 3".to_owned(),
            };
            let message = read(&finished(FinishedOutcome::Rejected(reason)));
            assert_eq!(message.status(), v1::EventStatus::Rejected);
            assert_eq!(message.entries, []);
            let reason = message.reason.unwrap();
            assert_eq!((reason.code, reason.name.as_str()), (i32::from(code), name));
            assert_eq!(reason.message, "asked 5, there were 3");
        }
    }
}
