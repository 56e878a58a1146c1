//! One shard: its events in the order of accounts, and beside them the balances of the accounts
//! that are complete.

use super::difference::DifferenceKind;
use super::fold::{Fold, Folded, add_balance, add_entries};
use super::{PAGE_ROWS, VerifyLedgerService, VerifyProgress, VerifyReport, event_check};
use crate::port::ledger_audit::{
    AuditGround, AuditSnapshot, AuditedBalance, AuditedEvent, PayloadState, UnreadableRow,
};
use crate::port::store_error::StoreError;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::id::{AccountId, ShardId};
use axs_domain::log_status::LogStatus;
use axs_domain::rule::NonNegative;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use tokio::sync::mpsc;

/// Differences of one page of accounts that are named by the store.
const NAMED_A_PAGE: u32 = super::Differences::NAMED_MAX;

/// The walk through one shard.
pub(super) struct ShardWalk<'w> {
    pub(super) service: &'w VerifyLedgerService,
    pub(super) snapshot: &'w mut dyn AuditSnapshot,
    pub(super) ground: &'w AuditGround,
    pub(super) shard: ShardId,
    pub(super) shards_done: usize,
    pub(super) report: &'w mut VerifyReport,
    pub(super) progress: &'w mpsc::Sender<VerifyProgress>,
}

impl ShardWalk<'_> {
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        let mut fold = Fold::default();
        let mut after = None;
        let mut entries_of_events = 0;
        // Accounts up to here are compared; pages of events since then.
        let mut done_up_to = 0;
        let mut pages = 0;
        loop {
            let page = self.snapshot.events(self.shard, after, PAGE_ROWS).await?;
            pages += 1;
            entries_of_events += page.entries;
            self.note_unreadable(page.unreadable);
            for event in &page.events {
                self.take_event(event, &mut fold);
            }
            // The last account may go on with the next page.
            let complete = page
                .next
                .as_ref()
                .map_or(i64::MAX, |next| next.account_id - 1);
            if complete > done_up_to {
                let accounts = done_up_to + 1..=complete;
                self.compare_balances(accounts.clone(), fold.take_up_to(complete))
                    .await?;
                self.follow_lines(accounts, pages).await?;
                (done_up_to, pages) = (complete, 0);
            }
            self.tell(0);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.compare_entries(entries_of_events).await?;
        self.tell(1);
        Ok(())
    }

    fn tell(&self, this_shard: usize) {
        let shards_done = self.shards_done + this_shard;
        super::tell(self.progress, self.ground, shards_done, self.report);
    }

    fn differs(&mut self, kind: DifferenceKind, what: String) {
        self.report.differences.add(kind, what);
    }

    fn note_unreadable(&mut self, rows: Vec<UnreadableRow>) {
        for UnreadableRow { row, problem } in rows {
            self.differs(DifferenceKind::Unreadable, format!("{row}: {problem}"));
        }
    }

    fn take_event(&mut self, event: &AuditedEvent, fold: &mut Fold) {
        let record = &event.record;
        self.report.events += 1;
        match record.status {
            LogStatus::Init => self.report.pending += 1,
            LogStatus::Parked => self.report.parked += 1,
            LogStatus::Applied | LogStatus::Rejected => {}
        }
        if event.payload == PayloadState::Retired {
            self.report.retired += 1;
        }
        for entry in &record.entries {
            fold.add(record.key.account_id, entry);
        }
        add_entries(&mut self.report.totals, &record.entries);
        let problems = event_check::check(event, self.service.codec.as_ref(), self.ground);
        for (kind, problem) in problems {
            self.differs(kind, format!("event {}: {problem}", record.log_id));
        }
    }

    /// The balances of these accounts against what their entries make, and the cache against both.
    async fn compare_balances(
        &mut self,
        accounts: RangeInclusive<i64>,
        mut folded: BTreeMap<BalanceKey, Folded>,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self
                .snapshot
                .balances(self.shard, accounts.clone(), after, PAGE_ROWS)
                .await?;
            self.note_unreadable(page.unreadable);
            let mut owners = BTreeSet::new();
            for balance in &page.balances {
                owners.insert(balance.key.account_id);
                let made = folded.remove(&balance.key);
                self.compare_balance(balance, made);
            }
            self.compare_cache(owners).await?;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        for (key, made) in folded {
            self.differs_from_entries(key, None, Some(made));
            self.check_depth(key, made);
        }
        Ok(())
    }

    fn compare_balance(&mut self, balance: &AuditedBalance, made: Option<Folded>) {
        let AuditedBalance { key, stored, home } = *balance;
        self.report.balances += 1;
        add_balance(&mut self.report.totals, key, stored);
        if home != Some(self.shard) {
            let home = home.map_or_else(|| "nowhere".to_owned(), |id| format!("on shard {id}"));
            let what = format!(
                "account {} lives {home}, has balances on shard {}",
                key.account_id, self.shard
            );
            self.differs(DifferenceKind::Home, what);
        }
        if !made.is_some_and(|made| made.makes(stored)) {
            self.differs_from_entries(key, Some(stored), made);
        }
        if let Some(made) = made {
            self.check_depth(key, made);
        }
    }

    fn differs_from_entries(
        &mut self,
        key: BalanceKey,
        stored: Option<VersionedBalance>,
        made: Option<Folded>,
    ) {
        let stored = stored.map_or_else(
            || "absent".to_owned(),
            |stored| {
                format!(
                    "{} available, {} frozen at version {}",
                    stored.balance.available, stored.balance.frozen, stored.version
                )
            },
        );
        let made = made.map_or_else(
            || "nothing".to_owned(),
            |made| {
                format!(
                    "{} available, {} frozen at version {}",
                    made.available, made.frozen, made.count
                )
            },
        );
        let what = format!(
            "shard {}: account {} {}: balance {stored}, entries make {made}",
            self.shard, key.account_id, key.currency
        );
        self.differs(DifferenceKind::Balance, what);
    }

    /// Below zero, a balance must have been covered by credit.
    fn check_depth(&mut self, key: BalanceKey, made: Folded) {
        let rules = &self.service.rules;
        let credit = rules.credit_limit(key.account_id, key.currency);
        if made.deepest >= credit.negated() {
            return;
        }
        let below = format!(
            "shard {}: account {} {} was at {}, with a credit of {credit}",
            self.shard, key.account_id, key.currency, made.deepest
        );
        // A limit may have been lowered since. Where no rule can grant any, nothing can explain it.
        if rules.names().eq([NonNegative::NAME]) {
            self.differs(DifferenceKind::Overdrawn, below);
        } else {
            self.report.notes.add(below);
        }
    }

    async fn compare_cache(&mut self, owners: BTreeSet<AccountId>) -> Result<(), StoreError> {
        let accounts = owners
            .into_iter()
            .map(|account| (self.shard, account))
            .collect::<Vec<_>>();
        if accounts.is_empty() {
            return Ok(());
        }
        self.service.verify_cache(accounts, self.report).await
    }

    async fn follow_lines(
        &mut self,
        accounts: RangeInclusive<i64>,
        pages: u32,
    ) -> Result<(), StoreError> {
        let broken = self
            .snapshot
            .lines(self.shard, accounts, NAMED_A_PAGE, pages)
            .await?;
        for entry in broken {
            let what = format!(
                "shard {}: entry {} of event {}: {}",
                self.shard, entry.change_index, entry.log_id, entry.problem
            );
            self.differs(DifferenceKind::Line, what);
        }
        Ok(())
    }

    /// All entries of the shard against those that belong to its events.
    async fn compare_entries(&mut self, of_events: u64) -> Result<(), StoreError> {
        let mut after = None;
        let mut count = 0;
        let mut orphans = 0;
        loop {
            let page = self.snapshot.entries(self.shard, after, PAGE_ROWS).await?;
            count += page.count;
            self.report.entries += page.count;
            for orphan in page.orphans {
                orphans += 1;
                let what = format!(
                    "shard {}: entry {} of event {}: {}",
                    self.shard, orphan.change_index, orphan.log_id, orphan.problem
                );
                self.differs(DifferenceKind::Orphan, what);
            }
            self.tell(0);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if count != of_events + orphans {
            let what = format!(
                "shard {}: {count} entries in all, {of_events} belong to events, {orphans} are \
                 known to belong to none",
                self.shard
            );
            self.differs(DifferenceKind::Orphan, what);
        }
        Ok(())
    }
}
