//! Results of use cases become messages of the contract.

use super::field_path::FieldPath;
use super::violations::VIOLATIONS_MAX;
use axs_application::port::change_log::{PARKED_REASON_CODE, RecordedReason};
use axs_application::usecase::event_state::{EventState, LabelledEntry};
use axs_application::usecase::read_balances::{BalancesRead, ReadSource};
use axs_application::usecase::refusal::{FieldViolation, Refusal, RefusalCode};
use axs_domain::account::Account;
use axs_domain::balance::VersionedBalance;
use axs_domain::change::{Branch, CurrencyDelta};
use axs_domain::currency::{Currency, CurrencyCode};
use axs_domain::event::BalanceChangeEvent;
use axs_domain::log_status::LogStatus;
use axs_domain::rejection::RejectionCode;
use axs_proto::v1;

/// A refusal of the item at `path`; the use case knows only paths inside the item.
pub(super) fn refusal(path: &FieldPath<'_>, refusal: Refusal) -> v1::Refusal {
    refusal_with_paths(refusal, |inside| match inside {
        "" => path.to_string(),
        inside => format!("{path}.{inside}"),
    })
}

/// A refusal whose paths are completed by `complete`.
pub(super) fn refusal_with_paths(
    refusal: Refusal,
    complete: impl Fn(&str) -> String,
) -> v1::Refusal {
    let code = refusal_code(refusal.code).into();
    let retry_after = refusal.retry_after.map_or(0, |pause| pause.as_millis());
    let completed: Vec<FieldViolation> = refusal
        .violations
        .iter()
        .take(VIOLATIONS_MAX)
        .map(|violation| FieldViolation {
            field: complete(&violation.field),
            description: violation.description.clone(),
        })
        .collect();
    // A message that lists the violations lists them by the paths that the client knows.
    let listed = Refusal::of_fields(refusal.code, refusal.violations).message;
    let message = if listed == refusal.message && !completed.is_empty() {
        Refusal::of_fields(refusal.code, completed.clone()).message
    } else {
        refusal.message
    };
    v1::Refusal {
        code,
        message,
        violations: completed
            .into_iter()
            .map(|violation| v1::FieldViolation {
                field: violation.field,
                description: violation.description,
            })
            .collect(),
        retry_after_msec: i64::try_from(retry_after).unwrap_or(i64::MAX),
    }
}

const fn refusal_code(code: RefusalCode) -> v1::RefusalCode {
    match code {
        RefusalCode::InvalidField => v1::RefusalCode::InvalidField,
        RefusalCode::UnknownAccount => v1::RefusalCode::UnknownAccount,
        RefusalCode::WrongUser => v1::RefusalCode::WrongUser,
        RefusalCode::UnknownCurrency => v1::RefusalCode::UnknownCurrency,
        RefusalCode::InactiveCurrency => v1::RefusalCode::InactiveCurrency,
        RefusalCode::TooPrecise => v1::RefusalCode::TooPrecise,
        RefusalCode::KeyReused => v1::RefusalCode::KeyReused,
        RefusalCode::AlreadyExists => v1::RefusalCode::AlreadyExists,
        RefusalCode::UnknownPool => v1::RefusalCode::UnknownPool,
        RefusalCode::BacklogFull => v1::RefusalCode::BacklogFull,
    }
}

/// Where an event stands.
pub(super) fn event_state(state: EventState) -> v1::EventState {
    v1::EventState {
        status: event_status(state.status).into(),
        reason: state.reason.map(reason),
        entries: state.entries.iter().map(ledger_entry).collect(),
        logged_at_usec: state.logged_at.unix_micros(),
        decided_at_usec: state.decided_at.map_or(0, |at| at.unix_micros()),
    }
}

const fn event_status(status: LogStatus) -> v1::EventStatus {
    match status {
        LogStatus::Init => v1::EventStatus::Pending,
        LogStatus::Applied => v1::EventStatus::Applied,
        LogStatus::Rejected => v1::EventStatus::Rejected,
        LogStatus::Parked => v1::EventStatus::Parked,
    }
}

fn reason(reason: RecordedReason) -> v1::EventReason {
    v1::EventReason {
        code: i32::from(reason.code),
        name: reason_name(reason.code).to_owned(),
        message: reason.message,
    }
}

fn reason_name(code: i16) -> &'static str {
    if code == PARKED_REASON_CODE {
        return "UNDECIDABLE";
    }
    RejectionCode::name_of(code)
}

fn ledger_entry(labelled: &LabelledEntry) -> v1::LedgerEntry {
    let entry = &labelled.entry;
    let after = entry.after;
    v1::LedgerEntry {
        // An event holds at most 64 changes.
        change_index: i32::try_from(entry.change_index).unwrap_or(i32::MAX),
        change_id: labelled.change_id.to_string(),
        currency_code: entry.applied.currency.to_string(),
        fallback_taken: entry.branch == Branch::Fallback,
        available_delta: entry.applied.delta.available.to_string(),
        frozen_delta: entry.applied.delta.frozen.to_string(),
        available_after: after.balance.available.to_string(),
        frozen_after: after.balance.frozen.to_string(),
        version: after.version.value(),
    }
}

/// An event as it was logged. Amounts are printed in their shortest exact form.
pub(super) fn event(event: &BalanceChangeEvent) -> v1::BalanceChangeEvent {
    v1::BalanceChangeEvent {
        event_id: event.event_id().to_string(),
        event_type: event.event_type().to_string(),
        account_id: event.account_id().value(),
        user_id: event.user_id().value(),
        source_service: event.source_service().to_string(),
        related_order_id: event
            .related_order_id()
            .map(ToString::to_string)
            .unwrap_or_default(),
        idempotency_key: event.idempotency_key().to_string(),
        created_msec: event.created_msec(),
        changes: event
            .changes()
            .iter()
            .map(|change| v1::BalanceChange {
                change_id: change.change_id.to_string(),
                currency_code: change.primary.currency.to_string(),
                available_delta: change.primary.delta.available.to_string(),
                frozen_delta: change.primary.delta.frozen.to_string(),
                fallback: change.fallback.as_ref().map(fallback),
            })
            .collect(),
    }
}

fn fallback(part: &CurrencyDelta) -> v1::BalanceChangeFallback {
    v1::BalanceChangeFallback {
        currency_code: part.currency.to_string(),
        available_delta: part.delta.available.to_string(),
        frozen_delta: part.delta.frozen.to_string(),
    }
}

/// An open account.
pub(super) fn account(account: &Account, created: bool) -> v1::Account {
    v1::Account {
        account_id: account.account_id.value(),
        user_id: account.user_id.value(),
        pool: account.pool.to_string(),
        shard_id: account.shard_id.value(),
        created,
    }
}

/// A registered currency.
pub(super) fn currency(currency: &Currency) -> v1::Currency {
    v1::Currency {
        code: currency.code().to_string(),
        decimals: i32::from(currency.decimals()),
        active: currency.is_active(),
    }
}

/// The balances of an account.
pub(super) fn balances(read: &BalancesRead) -> v1::AccountBalances {
    let source = match read.source {
        ReadSource::Cache => v1::ReadSource::Cache,
        ReadSource::Database => v1::ReadSource::Database,
    };
    v1::AccountBalances {
        account_id: read.account_id.value(),
        balances: read.balances.iter().map(balance).collect(),
        source: source.into(),
    }
}

fn balance((currency, stored): &(CurrencyCode, VersionedBalance)) -> v1::Balance {
    v1::Balance {
        currency_code: currency.to_string(),
        available: stored.balance.available.to_string(),
        frozen: stored.balance.frozen.to_string(),
        version: stored.version.value(),
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
