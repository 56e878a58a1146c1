//! Verify that balances, ledger entries, change logs, offsets and the cache tell one story.
//!
//! | check | how |
//! |---|---|
//! | balances equal the fold of their entries | [`AuditSnapshot::fold`], a shard at a time |
//! | each entry equals what its log row asked for | [`event_check`], on decoded payloads |
//! | every final row has its entries and no other | the same |
//! | nothing was spent that no rule grants | entries below zero against the rules' credit |
//! | nothing below the stored offset is INIT; no payload without a state; no account on two shards | [`AuditSnapshot::contradictions`] |
//! | per currency, applied deltas equal balances | [`AuditSnapshot::totals`] |
//! | the cache is never newer than the database | cache read first, database after |
//!
//! All but the last are read in one snapshot, so the system may run meanwhile. The last one is not:
//! its two reads must follow each other, each as of its own moment.

mod cache_check;
mod event_check;

use crate::port::balance_cache::BalanceCache;
use crate::port::balance_store::BalanceStore;
use crate::port::event_codec::EventCodec;
use crate::port::ledger_audit::{AuditSnapshot, CurrencyTotal, EventCursor, LedgerAudit};
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::id::{AccountId, ShardId};
use axs_domain::log_status::LogStatus;
use axs_domain::rule::{BalanceRuleSet, NonNegative};
use shaku::{Component, Interface};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Differences that one check names; more are only counted as "and more".
pub const FINDINGS_MAX: u32 = 100;

/// Events of one page.
pub const PAGE_EVENTS: u32 = 5_000;

/// How far a run has come, for a person who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Shards done.
    pub shards_done: usize,
    /// Shards in all.
    pub shards: usize,
    /// Events looked at.
    pub events: u64,
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
    /// Accounts whose cached balances were compared; `None` when the cache was away.
    pub cached_accounts: Option<u64>,
    /// Sums of every currency.
    pub totals: Vec<CurrencyTotal>,
    /// What differs, one sentence each, at most [`FINDINGS_MAX`] a check.
    pub findings: Vec<String>,
    /// What a person may want to look at and may be right, one sentence each.
    pub notes: Vec<String>,
}

/// Verifies the ledger.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait VerifyLedger: Interface {
    /// Reads everything and gives what differs. Progress is sent as it is made; a full or closed
    /// channel loses messages, never work.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is verified.
    async fn verify(
        &self,
        progress: mpsc::Sender<VerifyProgress>,
    ) -> Result<VerifyReport, StoreError>;
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

    async fn verify_shard(
        &self,
        snapshot: &mut dyn AuditSnapshot,
        shard: ShardId,
        report: &mut VerifyReport,
        findings: &mut Findings,
        notes: &mut Findings,
    ) -> Result<(), StoreError> {
        let fold = snapshot.fold(shard, FINDINGS_MAX).await?;
        report.balances += fold.balances;
        report.entries += fold.entries;
        for difference in &fold.differences {
            findings.add(event_check::describe_difference(shard, difference));
        }
        for broken in &fold.broken {
            findings.add(format!(
                "shard {shard}: entry {} of event {}: {}",
                broken.change_index, broken.log_id, broken.problem
            ));
        }
        for (key, deepest) in &fold.overdrawn {
            let credit = self.rules.credit_limit(key.account_id, key.currency);
            if *deepest < credit.negated() {
                let below = format!(
                    "shard {shard}: account {} {} was at {deepest}, with a credit of {credit}",
                    key.account_id, key.currency
                );
                // A limit may have been lowered since. Where no rule can grant any, nothing can
                // explain it.
                if self.rules.names().eq([NonNegative::NAME]) {
                    findings.add(below);
                } else {
                    notes.add(below);
                }
            }
        }
        let mut after: Option<EventCursor> = None;
        loop {
            let page = snapshot.events(shard, after.clone(), PAGE_EVENTS).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some((last.key.account_id, last.key.idempotency_key.clone()));
            let accounts: BTreeSet<AccountId> =
                page.iter().map(|record| record.key.account_id).collect();
            for record in &page {
                report.events += 1;
                match record.status {
                    LogStatus::Init => report.pending += 1,
                    LogStatus::Parked => report.parked += 1,
                    LogStatus::Applied | LogStatus::Rejected => {}
                }
                for problem in event_check::problems(record, self.codec.as_ref()) {
                    findings.add(format!("event {}: {problem}", record.log_id));
                }
            }
            let accounts = accounts
                .into_iter()
                .map(|account| (shard, account))
                .collect();
            self.verify_cache(accounts, report, findings).await?;
        }
    }
}

#[async_trait]
impl VerifyLedger for VerifyLedgerService {
    async fn verify(
        &self,
        progress: mpsc::Sender<VerifyProgress>,
    ) -> Result<VerifyReport, StoreError> {
        let mut snapshot = self.audit.open().await?;
        let mut report = VerifyReport {
            cached_accounts: Some(0),
            ..VerifyReport::default()
        };
        let mut findings = Findings::default();
        let mut notes = Findings::default();
        let shards = snapshot.shards().await?;
        for (index, shard) in shards.iter().enumerate() {
            self.verify_shard(
                snapshot.as_mut(),
                *shard,
                &mut report,
                &mut findings,
                &mut notes,
            )
            .await?;
            // Lost when nobody reads fast enough: the next one says more.
            let _lost_when_full = progress.try_send(VerifyProgress {
                shards_done: index + 1,
                shards: shards.len(),
                events: report.events,
            });
        }
        for contradiction in snapshot.contradictions(FINDINGS_MAX).await? {
            findings.add(contradiction);
        }
        report.totals = snapshot.totals().await?;
        for total in &report.totals {
            if total.balances != total.entries {
                findings.add(format!(
                    "{}: balances add up to {}, applied deltas to {}",
                    total.currency, total.balances, total.entries
                ));
            }
        }
        report.findings = findings.finish();
        report.notes = notes.finish();
        Ok(report)
    }
}

/// Findings up to a bound; the rest is counted.
#[derive(Debug, Default)]
struct Findings {
    named: Vec<String>,
    more: u64,
}

impl Findings {
    /// Findings of one run that are named.
    const NAMED_MAX: usize = 1_000;

    fn add(&mut self, finding: String) {
        if self.named.len() < Self::NAMED_MAX {
            self.named.push(finding);
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Vec<String> {
        if self.more > 0 {
            self.named.push(format!("and {} more", self.more));
        }
        self.named
    }
}

#[cfg(test)]
mod tests;
