//! What is checked before an event may be logged.

use super::SubmitError;
use crate::port::change_log::ChangeLogKey;
use crate::port::event_codec::EventCodec;
use crate::port::layout_store::StoredLayout;
use crate::usecase::account_lookup::AccountsKnown;
use crate::usecase::log_changes::ChangeToLog;
use crate::usecase::refusal::{FieldViolation, Refusal, RefusalCode};
use axs_domain::account::Account;
use axs_domain::change::CurrencyDelta;
use axs_domain::currency::{CurrencyError, CurrencySet};
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use std::sync::Arc;

/// What one request is checked against.
pub(super) struct Acceptance<'a> {
    pub(super) layout: Arc<StoredLayout>,
    pub(super) accounts: AccountsKnown,
    pub(super) currencies: Arc<CurrencySet>,
    pub(super) codec: &'a dyn EventCodec,
    pub(super) traceparent: Option<String>,
}

impl Acceptance<'_> {
    /// The event ready to be logged, or why it is refused.
    ///
    /// # Errors
    /// [`SubmitError::Unavailable`] when the account lives on a shard that the layout, as this
    /// process knows it, does not have.
    pub(super) fn check(
        &self,
        event: Arc<BalanceChangeEvent>,
    ) -> Result<Result<ChangeToLog, Refusal>, SubmitError> {
        let account = match self.account_of(&event) {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Err(refusal) = self.check_currencies(&event) {
            return Ok(Err(refusal));
        }
        self.change_of(account, event).map(Ok)
    }

    /// A refused event as an earlier try of it may have been logged: `None` when no try can have
    /// passed. Only a currency is ever taken away from what was accepted before.
    ///
    /// # Errors
    /// As of [`check`](Self::check).
    pub(super) fn earlier_try(
        &self,
        event: Arc<BalanceChangeEvent>,
        refusal: &Refusal,
    ) -> Result<Option<ChangeToLog>, SubmitError> {
        match self.accounts.accounts.get(&event.account_id()) {
            Some(account) if refusal.code == RefusalCode::InactiveCurrency => {
                self.change_of(account, event).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn change_of(
        &self,
        account: &Account,
        event: Arc<BalanceChangeEvent>,
    ) -> Result<ChangeToLog, SubmitError> {
        let layout = &self.layout.layout;
        let Some(partition) = layout.partition_of(account.shard_id) else {
            return Err(SubmitError::Unavailable(format!(
                "account {} lives on shard {}, which layout {} does not have",
                account.account_id,
                account.shard_id,
                layout.epoch()
            )));
        };
        Ok(ChangeToLog {
            key: key_of(account, &event),
            fingerprint: Fingerprint::of(&event),
            payload: self.codec.encode_payload(&event),
            event,
            partition,
            layout_epoch: layout.epoch(),
            incarnation: self.accounts.incarnation,
            traceparent: self.traceparent.clone(),
        })
    }

    fn account_of(&self, event: &BalanceChangeEvent) -> Result<&Account, Refusal> {
        let id = event.account_id();
        let account = self.accounts.accounts.get(&id).ok_or_else(|| {
            let description = format!("{id} is not an open account");
            Refusal::of_field(RefusalCode::UnknownAccount, "account_id", &description)
        })?;
        if account.user_id != event.user_id() {
            let description = format!(
                "is {}; account {id} belongs to another user",
                event.user_id()
            );
            return Err(Refusal::of_field(
                RefusalCode::WrongUser,
                "user_id",
                &description,
            ));
        }
        Ok(account)
    }

    /// Every currency and amount of the event, so that all that is wrong is told at once. The code
    /// of the refusal is that of the first.
    fn check_currencies(&self, event: &BalanceChangeEvent) -> Result<(), Refusal> {
        let mut code = None;
        let mut violations = Vec::new();
        let mut note = |field: String, error: CurrencyError| {
            code.get_or_insert(RefusalCode::from(&error));
            violations.push(FieldViolation {
                field,
                description: error.to_string(),
            });
        };
        for (index, change) in event.changes().iter().enumerate() {
            let path = format!("changes[{index}]");
            self.check_part(&path, &change.primary, &mut note);
            if let Some(fallback) = &change.fallback {
                self.check_part(&format!("{path}.fallback"), fallback, &mut note);
            }
        }
        code.map_or(Ok(()), |code| Err(Refusal::of_fields(code, violations)))
    }

    fn check_part(
        &self,
        path: &str,
        part: &CurrencyDelta,
        note: &mut impl FnMut(String, CurrencyError),
    ) {
        let currency = match self.currencies.accept(part.currency) {
            Ok(currency) => currency,
            Err(error) => return note(format!("{path}.currency_code"), error),
        };
        if let Err(error) = currency.fits(part.delta.available) {
            note(format!("{path}.available_delta"), error);
        }
        if let Err(error) = currency.fits(part.delta.frozen) {
            note(format!("{path}.frozen_delta"), error);
        }
    }
}

fn key_of(account: &Account, event: &BalanceChangeEvent) -> ChangeLogKey {
    ChangeLogKey {
        shard_id: account.shard_id,
        account_id: account.account_id,
        idempotency_key: event.idempotency_key().clone(),
    }
}
