//! Events and log rows for claims, small and complete.

use axs_application::port::change_log::{ChangeLogKey, NewChangeLog};
use axs_domain::amount::Amount;
use axs_domain::balance::Delta;
use axs_domain::change::{BalanceChange, CurrencyDelta};
use axs_domain::currency::CurrencyCode;
use axs_domain::event::{BalanceChangeEvent, EventParts};
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{AccountId, LogId, ShardId, UserId};
use axs_domain::text::{ChangeId, EventId, EventType, IdempotencyKey, SourceService};
use bytes::Bytes;

pub fn shard(value: i32) -> ShardId {
    ShardId::try_new(value).expect("a shard")
}

pub fn account(value: i64) -> AccountId {
    AccountId::try_new(value).expect("an account")
}

pub fn currency(code: &str) -> CurrencyCode {
    CurrencyCode::parse(code).expect("a currency code")
}

pub fn amount(text: &str) -> Amount {
    Amount::parse(text).expect("an amount")
}

/// A key of an account on a shard.
pub fn key(shard_id: i32, account_id: i64, key: &str) -> ChangeLogKey {
    ChangeLogKey {
        shard_id: shard(shard_id),
        account_id: account(account_id),
        idempotency_key: IdempotencyKey::parse(key).expect("a key"),
    }
}

/// A deposit as a row to be logged, with a log id of its own. Two calls with the same arguments
/// make the same request.
pub fn deposit(key: &ChangeLogKey, available: &str) -> NewChangeLog {
    deposit_with_id(LogId::new(uuid::Uuid::now_v7()), key, available)
}

/// The same with the log id given.
pub fn deposit_with_id(log_id: LogId, key: &ChangeLogKey, available: &str) -> NewChangeLog {
    let event = BalanceChangeEvent::try_new(EventParts {
        event_id: EventId::parse("event").expect("an event id"),
        event_type: EventType::parse("deposit").expect("an event type"),
        account_id: key.account_id,
        user_id: UserId::MIN,
        source_service: SourceService::parse("test").expect("a service"),
        related_order_id: None,
        idempotency_key: key.idempotency_key.clone(),
        created_msec: 0,
        changes: vec![BalanceChange {
            change_id: ChangeId::parse("1").expect("a change id"),
            primary: CurrencyDelta {
                currency: currency("USD"),
                delta: Delta {
                    available: amount(available),
                    frozen: Amount::ZERO,
                },
            },
            fallback: None,
        }],
    })
    .expect("an event");
    NewChangeLog {
        log_id,
        key: key.clone(),
        fingerprint: Fingerprint::of(&event),
        // Bytes that no text may hold, to see that they come back as they were.
        payload: Bytes::from(format!(
            "\u{0}deposit {available} of {}",
            key.idempotency_key
        )),
    }
}
