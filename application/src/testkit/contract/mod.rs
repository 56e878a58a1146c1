//! What every store must keep, whatever it is made of: the same claims over the ports alone, run
//! against PostgreSQL's adapters and against the simulated store.
//!
//! ```ignore
//! axs_application::store_contract!(on_stores);
//!
//! /// Makes fresh stores with the layout of `stored_layout()`, and runs the claim on them.
//! fn on_stores(claim: fn(Stores) -> BoxFuture<'static, ()>) { … }
//! ```
//!
//! What only PostgreSQL has (locks of others, plans, columns) is claimed beside its adapters.

pub mod batches;
pub mod change_log;
pub mod culprits;
mod decider;
pub mod fencing;
pub mod leadership;
pub mod relay;

pub use decider::{BatchInHand, Decider, RowToDecide};

use super::{EventBuilder, TableCodec, account, log_id, stored_layout};
use crate::port::balance_store::BalanceStore;
use crate::port::batch_writer::{BatchWriter, DecidedBatch, WriteError, WriteReceipt};
use crate::port::change_log::ChangeLogRecord;
use crate::port::change_log::{AppendOutcome, ChangeLog, ChangeLogKey, NewChangeLog, Placing};
use crate::port::consumer_registry::ConsumerRegistry;
use crate::port::event_codec::EventCodec;
use crate::port::partition_leadership::{LeaderView, PartitionLeadership, TakeOver};
use crate::port::relay_source::RelaySource;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::fencing::Claim;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{LogId, Offset, OwnerId, PartitionId, ShardId};
use axs_domain::text::IdempotencyKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Long enough that no claim outlives it.
pub const LEASE: Duration = Duration::from_secs(120);

/// Fresh stores of one kind, over one set of rows, with the layout of [`stored_layout`].
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port that its type names")]
pub struct Stores {
    pub change_log: Arc<dyn ChangeLog>,
    pub balances: Arc<dyn BalanceStore>,
    pub writer: Arc<dyn BatchWriter>,
    pub leadership: Arc<dyn PartitionLeadership>,
    pub registry: Arc<dyn ConsumerRegistry>,
    pub relay: Arc<dyn RelaySource>,
}

/// Everything that the ports show of some rows: equal before and after what had no effect.
#[derive(Debug, PartialEq, Eq)]
pub struct Standing {
    rows: Vec<Option<ChangeLogRecord>>,
    balances: Vec<VersionedBalance>,
    leaders: Vec<LeaderView>,
}

impl Stores {
    /// Leads a partition that is free.
    pub async fn lead(&self, partition: PartitionId, owner: OwnerId) -> Claim {
        let taken = self.leadership.take_over(partition, owner, LEASE).await;
        match taken {
            Ok(TakeOver::Taken { claim, .. }) => Some(claim),
            _ => None,
        }
        .unwrap()
    }

    /// Gives the partition to a new owner.
    pub async fn succeed(&self, partition: PartitionId, old: Claim) -> Claim {
        self.leadership.release(partition, old).await.unwrap();
        self.lead(partition, new_owner()).await
    }

    /// The placing that stands.
    pub async fn placing(&self) -> Placing {
        Placing {
            layout_epoch: stored_layout().layout.epoch(),
            incarnation: self.balances.incarnation().await.unwrap(),
        }
    }

    /// Logs a deposit of 1 USD to an account under a key.
    pub async fn log(&self, account: i64, key: &str) -> RowToDecide {
        let row = new_row(account, key);
        let placing = self.placing().await;
        let appended = self.change_log.append(vec![row.clone()], placing).await;
        match appended.unwrap().remove(0) {
            AppendOutcome::Logged { logged_at } => Some(RowToDecide {
                log_id: row.log_id,
                key: row.key,
                fingerprint: row.fingerprint,
                logged_at,
            }),
            _ => None,
        }
        .unwrap()
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// The writer's.
    pub async fn write(&self, batch: DecidedBatch) -> Result<WriteReceipt, WriteError> {
        self.writer.write(Arc::new(batch)).await
    }

    /// The row with this key.
    pub async fn row(&self, row: &RowToDecide) -> ChangeLogRecord {
        let found = self.change_log.find_by_key(row.key.clone()).await;
        found.unwrap().unwrap()
    }

    /// A balance.
    pub async fn balance(&self, account: i64, currency: &str) -> VersionedBalance {
        let key = (home_of(account), balance_key(account, currency));
        let loaded = self.balances.load(vec![key]).await.unwrap();
        loaded.balances[0]
    }

    /// The stored offset of a partition.
    pub async fn stored_offset(&self, partition: PartitionId) -> Offset {
        let leaders = self.leadership.leaders().await.unwrap();
        let mine = leaders.iter().find(|view| view.partition == partition);
        mine.unwrap().stored_offset
    }

    /// What stands of these rows, of their accounts in USD, and of every partition.
    pub async fn standing(&self, of: &[&RowToDecide]) -> Standing {
        let mut rows = Vec::new();
        for row in of {
            rows.push(self.change_log.find_by_key(row.key.clone()).await.unwrap());
        }
        let usd = |row: &&RowToDecide| {
            let account = row.key.account_id.value();
            (row.key.shard_id, balance_key(account, "USD"))
        };
        let keys = of.iter().map(usd).collect();
        Standing {
            rows,
            balances: self.balances.load(keys).await.unwrap().balances,
            leaders: self.leadership.leaders().await.unwrap(),
        }
    }
}

/// An owner that nobody else is.
#[must_use]
pub fn new_owner() -> OwnerId {
    OwnerId::new(unique_log_id().uuid())
}

/// A log id that no other row has.
#[must_use]
pub fn unique_log_id() -> LogId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Of this moment, as UUIDv7 is, so that it falls into a partition of the table of today.
    let next = NEXT.fetch_add(1, Ordering::SeqCst);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let millis = since.unwrap().as_millis();
    log_id((millis << 80) | (7 << 76) | (0b10 << 62) | u128::from(next))
}

/// A row that nobody wrote yet: a deposit of 1 USD.
#[must_use]
pub fn new_row(account: i64, key: &str) -> NewChangeLog {
    let event = EventBuilder::new(account, key).build();
    NewChangeLog {
        log_id: unique_log_id(),
        key: key_of(account, key),
        fingerprint: Fingerprint::of(&event),
        payload: TableCodec::default().encode_payload(&event),
    }
}

/// The key of a row.
#[must_use]
pub fn key_of(account: i64, key: &str) -> ChangeLogKey {
    ChangeLogKey {
        shard_id: home_of(account),
        account_id: super::account_id(account),
        idempotency_key: IdempotencyKey::parse(key).unwrap(),
    }
}

/// The shard on which an account lives.
#[must_use]
pub fn home_of(account: i64) -> ShardId {
    super::account(account).shard_id
}

/// An account of a partition, the `nth`, from 0.
#[must_use]
pub fn resident(partition: PartitionId, nth: usize) -> i64 {
    let layout = stored_layout().layout;
    let lives_here = |id: &i64| layout.partition_of(account(*id).shard_id) == Some(partition);
    (1..).filter(lives_here).nth(nth).unwrap()
}

/// A balance's key.
#[must_use]
pub fn balance_key(account: i64, currency: &str) -> BalanceKey {
    BalanceKey {
        account_id: super::account_id(account),
        currency: super::code(currency),
    }
}

/// An offset.
#[must_use]
pub fn offset(value: i64) -> Offset {
    Offset::try_new(value).unwrap()
}

/// A partition.
#[must_use]
pub fn partition(number: i32) -> PartitionId {
    PartitionId::try_new(number).unwrap()
}

/// Makes one test of each claim. `$on_stores` is a `fn(fn(Stores) -> BoxFuture<'static, ()>)` that
/// runs a claim on fresh stores.
#[macro_export]
macro_rules! store_contract {
    ($on_stores:path) => {
        $crate::store_contract! { @of $on_stores, batches:
            a_committed_batch_is_seen_whole
            rejected_and_parked_events_keep_their_reason_and_move_nothing
            a_balance_that_moved_meanwhile_is_named
            a_balance_that_was_to_be_opened_and_is_there_already_is_not_overwritten
            a_refusal_on_a_balance_that_moved_does_not_stand
            a_batch_from_another_offset_than_the_stored_one_is_refused_with_both
            dead_letters_commit_with_the_offset_that_passes_them
            of_two_writers_of_one_batch_at_once_one_commits_it
            settling_tells_the_stored_offset_and_nothing_to_a_stale_claim
        }
        $crate::store_contract! { @of $on_stores, culprits:
            a_redelivered_event_is_found_out_whatever_became_of_it_first
            each_way_to_differ_from_the_log_has_its_verdict
            of_a_forged_and_a_sound_event_with_one_key_only_the_sound_one_stays
            of_two_sound_copies_the_first_stays
            a_forged_copy_of_a_final_event_is_a_forgery_and_no_redelivery
        }
        $crate::store_contract! { @of $on_stores, fencing:
            a_stale_token_is_refused_and_leaves_nothing
            a_claim_is_refused_before_its_first_batch_too
            the_newest_token_in_other_hands_is_refused
            a_partition_that_no_layout_has_is_refused
            of_two_rival_leaders_at_once_only_the_newest_commits
        }
        $crate::store_contract! { @of $on_stores, leadership:
            a_free_partition_is_taken_with_what_is_stored
            a_lease_that_stands_is_held_against_others_but_not_against_its_owner
            a_lease_ends_by_itself
            of_many_candidates_at_once_one_leads_and_the_token_grows
            a_partition_that_no_layout_has_can_not_be_led
            only_leases_that_are_still_the_claims_are_renewed
            a_lease_given_up_is_free_at_once_and_a_stale_claim_gives_up_nothing
            leaders_are_told_for_every_partition_in_order
            who_checks_in_is_live_until_it_leaves_or_its_time_is_over
        }
        $crate::store_contract! { @of $on_stores, change_log:
            what_was_logged_is_found_by_its_id_and_by_its_key_as_it_was_given
            what_was_never_logged_is_not_found
            outcomes_stand_in_the_order_asked_whatever_the_order_of_the_keys
            of_rows_with_one_key_in_one_call_the_first_is_logged_and_the_others_know_it
            the_same_keys_sent_at_once_are_logged_once_and_nobody_deadlocks
            a_position_is_noted_while_a_row_is_init_and_never_after
            by_another_map_nothing_is_logged
            in_another_history_nothing_is_logged
        }
        $crate::store_contract! { @of $on_stores, relay:
            a_scan_sees_rows_that_are_init_oldest_first
            a_scan_begins_after_the_mark_and_ends_at_its_limit
            the_pages_of_a_scan_leave_no_row_out_and_repeat_none
            nothing_is_scanned_in_another_history_than_the_claims
            rows_that_became_final_are_not_kept
            a_mark_is_moved_by_the_leader_alone_and_found_by_the_next
        }
    };
    (@of $on_stores:path, $module:ident: $($claim:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $claim() {
                    $on_stores(|stores| {
                        Box::pin($crate::testkit::contract::$module::$claim(stores))
                    });
                }
            )*
        }
    };
}
