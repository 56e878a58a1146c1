//! Verify that balances, ledger entries, change logs, offsets and the cache tell one story.
//!
//! | check | where |
//! |---|---|
//! | balances equal the fold of their entries; nothing was spent that no rule grants | [`shard_walk`] |
//! | per balance, versions have no gap, each balance after is the running sum, effects follow offsets | [`AuditSnapshot::lines`] |
//! | each event's entries equal what its payload asked for; status, fingerprint, position fit | [`event_check`] |
//! | nothing below the stored offset waits without a reason | [`event_check`] |
//! | no payload without a state, no entry without an event, no account on two shards | [`shard_walk`], [`AuditSnapshot::payloads`] |
//! | leader rows, leases and layout agree | [`leadership_check`] |
//! | per currency, applied deltas equal balances | [`fold::CurrencyTotal`] |
//! | the cache is never newer than the database | [`cache_check`]: cache read first, database after |
//!
//! All but the last are read in one snapshot, a page at a time, so the system may run meanwhile.
//! The last one is not: its two reads must follow each other, each as of its own moment.
//!
//! What can't be compared is said: events whose payload was retired are counted, and checked
//! without their content; the partition of an event is compared with its shard's only while the
//! layout was never raised; positions on a log that was replaced are not compared with the stored
//! offset.

mod cache_check;
mod difference;
mod event_check;
mod fold;
mod leadership_check;
mod shard_walk;
mod wide_sum;

pub use difference::{Difference, DifferenceKind, Differences, Notes};
pub use fold::{CurrencyTotal, CurrencyTotals};
pub use wide_sum::WideSum;

use crate::port::balance_cache::BalanceCache;
use crate::port::balance_store::BalanceStore;
use crate::port::event_codec::EventCodec;
use crate::port::ledger_audit::{AuditGround, AuditSnapshot, LedgerAudit};
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::rule::BalanceRuleSet;
use shaku::{Component, Interface};
use shard_walk::ShardWalk;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Rows of one page. Bounds the memory of a run, whatever the size of the ledger.
pub const PAGE_ROWS: u32 = 5_000;

/// How far a run has come, for a person who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Shards done.
    pub shards_done: usize,
    /// Shards in all.
    pub shards: usize,
    /// Events looked at.
    pub events: u64,
    /// About how many there are; may be too small, or 0, when the planner's figures are old.
    pub events_expected: u64,
    /// Rows of all tables looked at.
    pub rows: u64,
}

/// What a run saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Balances compared with their entries.
    pub balances: u64,
    /// Ledger entries folded.
    pub entries: u64,
    /// Events compared with their entries.
    pub events: u64,
    /// Events not decided yet: no difference.
    pub pending: u64,
    /// Events that wait for an operator: no difference.
    pub parked: u64,
    /// Events whose payload was retired: checked without their content.
    pub retired: u64,
    /// Payloads compared with the states.
    pub payloads: u64,
    /// Dead letters looked at.
    pub dead_letters: u64,
    /// Accounts whose cached balances were compared; `None` when the cache was away, if only for a
    /// while.
    pub cached_accounts: Option<u64>,
    /// Why the cache was not compared, or not to the end.
    pub cache_left_out: Option<String>,
    /// Sums of every currency.
    pub totals: CurrencyTotals,
    /// What differs.
    pub differences: Differences,
    /// What a person may want to look at and may be right.
    pub notes: Notes,
}

/// Why nothing was verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There is no layout, and no row of one: no ledger either.
    #[error("nothing is laid out, so nothing was verified; run `bootstrap layout init`")]
    NotLaidOut,
    /// The store did not answer. Verify again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Verifies the ledger.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait VerifyLedger: Interface {
    /// Reads everything and gives what differs. Progress is sent as it is made; a full or closed
    /// channel loses messages, never work.
    ///
    /// # Errors
    /// [`VerifyError`]: nothing is verified.
    async fn verify(
        &self,
        progress: mpsc::Sender<VerifyProgress>,
    ) -> Result<VerifyReport, VerifyError>;
}

/// [`VerifyLedger`] over the ports.
#[derive(Component)]
#[shaku(interface = VerifyLedger)]
pub struct VerifyLedgerService {
    #[shaku(inject)]
    audit: Arc<dyn LedgerAudit>,
    #[shaku(inject)]
    codec: Arc<dyn EventCodec>,
    #[shaku(inject)]
    cache: Arc<dyn BalanceCache>,
    #[shaku(inject)]
    store: Arc<dyn BalanceStore>,
    /// The rules of the deployment, for the credit that they grant now.
    #[shaku(default = BalanceRuleSet::non_negative())]
    rules: BalanceRuleSet,
}

impl VerifyLedgerService {
    /// A service over these ports.
    pub fn new(
        audit: Arc<dyn LedgerAudit>,
        codec: Arc<dyn EventCodec>,
        cache: Arc<dyn BalanceCache>,
        store: Arc<dyn BalanceStore>,
        rules: BalanceRuleSet,
    ) -> Self {
        Self {
            audit,
            codec,
            cache,
            store,
            rules,
        }
    }

    /// Every payload has its state: both are inserted by one statement.
    async fn verify_payloads(
        snapshot: &mut dyn AuditSnapshot,
        ground: &AuditGround,
        report: &mut VerifyReport,
        progress: &mpsc::Sender<VerifyProgress>,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = snapshot.payloads(after, PAGE_ROWS).await?;
            report.payloads += page.count;
            for log_id in page.stateless {
                report.differences.add(
                    DifferenceKind::Payload,
                    format!("event {log_id}: its payload is logged, its state is gone"),
                );
            }
            tell(progress, ground, ground.shards.len(), report);
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Open dead letters of events that still wait: nothing will decide these but a person.
    async fn verify_dead_letters(
        snapshot: &mut dyn AuditSnapshot,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = snapshot.dead_letters(after, PAGE_ROWS).await?;
            report.dead_letters += page.count;
            for letter in page.waiting {
                report.notes.add(format!(
                    "event {} of account {} is INIT, and {}",
                    letter.log_id, letter.account_id, letter.words
                ));
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

#[async_trait]
impl VerifyLedger for VerifyLedgerService {
    async fn verify(
        &self,
        progress: mpsc::Sender<VerifyProgress>,
    ) -> Result<VerifyReport, VerifyError> {
        let mut snapshot = self.audit.open().await?;
        let mut report = VerifyReport {
            cached_accounts: Some(0),
            ..VerifyReport::default()
        };
        let ground = snapshot.ground().await?;
        // Rows of partitions without a layout are a difference, not a ledger that is not there yet.
        if ground.shards.is_empty() && ground.partitions.is_empty() {
            return Err(VerifyError::NotLaidOut);
        }
        tell(&progress, &ground, 0, &report);
        for problem in leadership_check::problems(&ground) {
            report.differences.add(DifferenceKind::Leadership, problem);
        }
        for (index, (shard, _)) in ground.shards.iter().enumerate() {
            let walk = ShardWalk {
                service: self,
                snapshot: snapshot.as_mut(),
                ground: &ground,
                shard: *shard,
                shards_done: index,
                report: &mut report,
                progress: &progress,
            };
            walk.run().await?;
        }
        Self::verify_payloads(snapshot.as_mut(), &ground, &mut report, &progress).await?;
        Self::verify_dead_letters(snapshot.as_mut(), &mut report).await?;
        for (currency, total) in &report.totals {
            if total.balances != total.entries {
                report.differences.add(
                    DifferenceKind::Total,
                    format!(
                        "{currency}: balances add up to {}, applied deltas to {}",
                        total.balances, total.entries
                    ),
                );
            }
        }
        Ok(report)
    }
}

/// Says how far the run has come.
fn tell(
    progress: &mpsc::Sender<VerifyProgress>,
    ground: &AuditGround,
    shards_done: usize,
    report: &VerifyReport,
) {
    // Lost when nobody reads fast enough: the next one says more.
    let _lost_when_full = progress.try_send(VerifyProgress {
        shards_done,
        shards: ground.shards.len(),
        events: report.events,
        events_expected: ground.events_expected,
        rows: report.events + report.entries + report.balances + report.payloads,
    });
}

#[cfg(test)]
mod tests;
