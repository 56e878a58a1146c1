//! Checking the events of a request by what is looked up for them, and logging those that pass.

use super::acceptance::Acceptance;
use super::{BalanceChangeSubmission, SubmitError, SubmitOutcome};
use crate::port::layout_store::StoredLayout;
use crate::port::store_error::StoreError;
use crate::usecase::ack_level::AckLevel;
use crate::usecase::backlog::BacklogFull;
use crate::usecase::layout_lookup::LayoutLookupError;
use crate::usecase::log_changes::{ChangeToLog, LogError, LogOutcome};
use crate::usecase::refusal::Refusal;
use axs_domain::account::Account;
use axs_domain::currency::{CurrencyCode, CurrencySet};
use axs_domain::decision::balance_keys;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::{AccountId, PartitionId};
use metrics::counter;
use std::collections::HashMap;
use std::sync::Arc;

/// How often one request is checked in all: once, and again for each other history of the database
/// that is met meanwhile. It changes with a restart or a failover: more than two during a request
/// mean that something else is wrong.
pub(super) const CHECKS_MAX: usize = 3;

/// What the checks make of an event.
pub(super) enum Checked {
    /// It is to be logged.
    ToLog(ChangeToLog),
    /// It is answered, and not logged now.
    Answered(SubmitOutcome),
}

impl BalanceChangeSubmission {
    /// The currencies for these events: read anew when one of them names a code not known yet.
    async fn currencies_for(
        &self,
        events: &[Arc<BalanceChangeEvent>],
    ) -> Result<Arc<CurrencySet>, StoreError> {
        let known = self.currencies.current().await?;
        let names_unknown = |code: CurrencyCode| known.find(code).is_none();
        let keys = events.iter().flat_map(|event| balance_keys(event));
        let mut codes = keys.map(|key| key.currency);
        if codes.any(names_unknown) {
            return self.currencies.refreshed().await;
        }
        Ok(known)
    }

    /// The layout for these accounts: read anew when one lives on a shard not known yet.
    async fn layout_for(
        &self,
        accounts: &HashMap<AccountId, Account>,
    ) -> Result<Arc<StoredLayout>, LayoutLookupError> {
        let known = self.layouts.current().await?;
        let unknown = |a: &Account| known.layout.partition_of(a.shard_id).is_none();
        if accounts.values().any(unknown) {
            return self.layouts.refreshed().await;
        }
        Ok(known)
    }

    async fn check(
        &self,
        events: &[Arc<BalanceChangeEvent>],
        traceparent: Option<&str>,
    ) -> Result<Vec<Checked>, SubmitError> {
        let ids = events.iter().map(|event| event.account_id()).collect();
        let accounts = self.accounts.find(ids).await?;
        let layout = self.layout_for(&accounts.accounts).await?;
        let acceptance = Acceptance {
            layout,
            accounts,
            currencies: self.currencies_for(events).await?,
            codec: self.codec.as_ref(),
            traceparent: traceparent.map(str::to_owned),
        };
        let mut checked = Vec::with_capacity(events.len());
        for event in events {
            checked.push(match acceptance.check(Arc::clone(event))? {
                Ok(change) => Checked::ToLog(change),
                Err(refusal) => match acceptance.earlier_try(Arc::clone(event), &refusal)? {
                    Some(change) => self.unless_new(change, refusal).await,
                    None => Checked::Answered(SubmitOutcome::Refused(refusal)),
                },
            });
        }
        Ok(checked)
    }

    /// Refuses the event unless an earlier try of it passed: that would deny what takes effect. It
    /// is to be logged again then, which meets the row: the log answers for it and, where nobody
    /// did, publishes it before what comes after.
    async fn unless_new(&self, change: ChangeToLog, refusal: Refusal) -> Checked {
        match self.change_log.find_by_key(change.key.clone()).await {
            Ok(Some(_)) => Checked::ToLog(change),
            Ok(None) => Checked::Answered(SubmitOutcome::Refused(refusal)),
            Err(error) => Checked::Answered(SubmitOutcome::Unknown(error.to_string())),
        }
    }

    /// Checks the events and logs those that pass. By what is looked up anew, when the database has
    /// another history than what they were checked by: nothing was logged then.
    pub(super) async fn log_checked(
        &self,
        events: &[Arc<BalanceChangeEvent>],
        ack_level: AckLevel,
        traceparent: Option<String>,
    ) -> Result<(Vec<Checked>, Vec<LogOutcome>), SubmitError> {
        let mut tries = 1;
        loop {
            let mut checked = self.check(events, traceparent.as_deref()).await?;
            self.refuse_beyond_backlog(&mut checked)?;
            let to_log = checked.iter().filter_map(|checked| match checked {
                Checked::ToLog(change) => Some(change.clone()),
                Checked::Answered(_) => None,
            });
            match self.log.log(to_log.collect(), ack_level).await {
                Ok(logged) => return Ok((checked, logged)),
                Err(LogError::HistoryMoved) if tries < CHECKS_MAX => {
                    tries += 1;
                    metrics::counter!("axs_submits_checked_anew_total").increment(1);
                    self.currencies.refreshed().await?;
                    self.layouts.refreshed().await?;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Refuses the events of partitions that have too much to decide. The whole request when that
    /// leaves nothing of it, so that a client that knows only statuses waits and tries again.
    ///
    /// Each partition is looked at once a request: of two events of one account, the later one must
    /// not be taken where the earlier one was refused.
    fn refuse_beyond_backlog(&self, checked: &mut [Checked]) -> Result<(), SubmitError> {
        let mut looked_at: HashMap<PartitionId, Option<BacklogFull>> = HashMap::new();
        let mut refused = 0;
        let mut last = None;
        for checked in checked.iter_mut() {
            let Checked::ToLog(change) = checked else {
                continue;
            };
            let partition = change.partition;
            let full = looked_at
                .entry(partition)
                .or_insert_with(|| self.backlog.check(partition).err());
            if let Some(full) = full {
                refused += 1;
                last = Some(full.clone());
                *checked = Checked::Answered(SubmitOutcome::Refused(full.clone().into()));
            }
        }
        self.counters
            .backlog_refusals
            .get_or_init(|| counter!("axs_backlog_refusals_total"))
            .increment(refused);
        match last {
            Some(full) if usize::try_from(refused) == Ok(checked.len()) => {
                Err(SubmitError::BacklogFull {
                    reason: full.to_string(),
                    retry_after: full.retry_after,
                })
            }
            _ => Ok(()),
        }
    }
}
