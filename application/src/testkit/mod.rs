//! Builders and stand-ins for tests, behind the feature `testkit`: of this crate, of the crates
//! further out, and of teams that extend AXS.
//!
//! Everything here panics on what a test would never mean.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that can't be made is a mistake in the test that asks for it"
)]

pub mod contract;
mod counting_log_ids;
mod event_builder;
#[cfg(test)]
mod log_lines;
mod memory_change_log;
mod memory_topic;
mod relay_scan;
mod table_codec;

pub use counting_log_ids::CountingLogIds;
pub use event_builder::EventBuilder;
#[cfg(test)]
pub(crate) use log_lines::LogLines;
pub use memory_change_log::MemoryChangeLog;
pub use memory_topic::MemoryTopic;
pub use relay_scan::scanned;
pub use table_codec::TableCodec;

use crate::port::batch_writer::DecidedBatch;
use crate::port::layout_store::StoredLayout;
use crate::port::store_error::StoreError;
use axs_domain::account::Account;
use axs_domain::amount::Amount;
use axs_domain::currency::{Currency, CurrencyCode};
use axs_domain::fencing::Claim;
use axs_domain::id::{AccountId, FencingToken, LogId, Offset, OwnerId, PartitionId, UserId};
use axs_domain::incarnation::Incarnation;
use axs_domain::layout::{Layout, PoolSpec};
use axs_domain::record_digest::RecordDigest;
use axs_domain::text::PoolName;

/// The pool of [`stored_layout`].
pub const POOL: &str = "retail";

/// The one history of stores that have no other.
pub const INCARNATION: Incarnation = Incarnation::new(1);

/// An account's id.
#[must_use]
pub fn account_id(id: i64) -> AccountId {
    AccountId::try_new(id).unwrap()
}

/// The user that owns [`account`] `id`: a thousand more.
#[must_use]
pub fn user_of(id: i64) -> UserId {
    UserId::try_new(id + 1_000).unwrap()
}

/// A batch of nothing, which leaves the offset where it is; to be filled by whoever needs more.
#[must_use]
pub fn empty_batch(partition: PartitionId) -> DecidedBatch {
    DecidedBatch {
        partition,
        claim: Claim {
            token: FencingToken::MIN,
            owner: OwnerId::new(log_id(1).uuid()),
            incarnation: INCARNATION,
        },
        offset_before: Offset::MIN,
        offset_after: Offset::MIN,
        last_record: RecordDigest::of(b"", b""),
        events: Vec::new(),
        writes: Vec::new(),
        reads: Vec::new(),
        dead_letters: Vec::new(),
    }
}

/// The log id with this number.
#[must_use]
pub fn log_id(number: u128) -> LogId {
    LogId::parse(&format!("{number:032x}")).unwrap()
}

/// A currency's code.
#[must_use]
pub fn code(text: &str) -> CurrencyCode {
    CurrencyCode::parse(text).unwrap()
}

/// An active currency.
#[must_use]
pub fn currency(text: &str, decimals: u8) -> Currency {
    Currency::try_new(code(text), decimals, true).unwrap()
}

/// An amount.
#[must_use]
pub fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// Eight shards of one pool over four partitions.
#[must_use]
pub fn stored_layout() -> StoredLayout {
    let pool = PoolSpec {
        name: PoolName::parse(POOL).unwrap(),
        shards: 8,
        partitions: 4,
    };
    StoredLayout {
        layout: Layout::lay_out(&[pool]).unwrap(),
        events_topic: "axs.events".to_owned(),
        results_topic: Some("axs.results".to_owned()),
        cluster_id: Some("cluster-1".to_owned()),
        grown_to: None,
    }
}

/// An open account of [`stored_layout`], owned by [`user_of`] it.
#[must_use]
pub fn account(id: i64) -> Account {
    let pool = PoolName::parse(POOL).unwrap();
    let layout = stored_layout().layout;
    Account {
        account_id: account_id(id),
        user_id: user_of(id),
        shard_id: layout.shard_for_new_account(account_id(id), &pool).unwrap(),
        pool,
    }
}

/// Makes all chance of the use cases on this thread follow from the seed.
pub fn seed_chance(seed: u64) {
    crate::usecase::jitter::seeded::seed(seed);
}

/// The error of a store that is away.
#[must_use]
pub fn away() -> StoreError {
    StoreError::Unavailable {
        store: "postgres://db:5432/axs".to_owned(),
        reason: "connection refused".to_owned(),
    }
}
