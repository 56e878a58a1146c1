//! Events of the contract become events of the domain, or a refusal that names every wrong field.

use super::field_path::FieldPath;
use super::violations::Violations;
use axs_domain::amount::Amount;
use axs_domain::balance::Delta;
use axs_domain::change::{BalanceChange, CurrencyDelta};
use axs_domain::currency::CurrencyCode;
use axs_domain::event::{BalanceChangeEvent, CHANGES_MAX, EventError, EventParts};
use axs_domain::id::{AccountId, UserId};
use axs_domain::text::{ChangeId, EventId, EventType, IdempotencyKey, OrderId, SourceService};
use axs_proto::v1;
use std::collections::HashSet;

/// Reads the event at `path`.
///
/// # Errors
/// A refusal that lists every field that is wrong, not only the first.
pub(super) fn read_event(
    path: &FieldPath<'_>,
    event: v1::BalanceChangeEvent,
) -> Result<BalanceChangeEvent, v1::Refusal> {
    let mut wrong = Violations::default();
    let parts = read_parts(path, &event, &mut wrong);
    match parts {
        Some(parts) if wrong.is_empty() => BalanceChangeEvent::try_new(parts).map_err(|error| {
            // The checks below see what `try_new` sees; it stays the judge all the same.
            let mut wrong = Violations::default();
            wrong.add(path, format_args!("{} {error}", error.field()));
            wrong.into_refusal()
        }),
        _ => Err(wrong.into_refusal()),
    }
}

fn read_parts(
    path: &FieldPath<'_>,
    event: &v1::BalanceChangeEvent,
    wrong: &mut Violations,
) -> Option<EventParts> {
    let event_id = wrong.keep(&path.field("event_id"), EventId::parse(&event.event_id));
    let event_type = wrong.keep(
        &path.field("event_type"),
        EventType::parse(&event.event_type),
    );
    let account_id = wrong.keep(
        &path.field("account_id"),
        AccountId::try_new(event.account_id),
    );
    let user_id = wrong.keep(&path.field("user_id"), UserId::try_new(event.user_id));
    let source_service = wrong.keep(
        &path.field("source_service"),
        SourceService::parse(&event.source_service),
    );
    let related_order_id = match event.related_order_id.as_str() {
        "" => None,
        text => wrong.keep(&path.field("related_order_id"), OrderId::parse(text)),
    };
    let idempotency_key = wrong.keep(
        &path.field("idempotency_key"),
        IdempotencyKey::parse(&event.idempotency_key),
    );
    let changes = read_changes(path, &event.changes, wrong);
    Some(EventParts {
        event_id: event_id?,
        event_type: event_type?,
        account_id: account_id?,
        user_id: user_id?,
        source_service: source_service?,
        related_order_id,
        idempotency_key: idempotency_key?,
        created_msec: event.created_msec,
        changes,
    })
}

fn read_changes(
    path: &FieldPath<'_>,
    changes: &[v1::BalanceChange],
    wrong: &mut Violations,
) -> Vec<BalanceChange> {
    let field = path.field("changes");
    if changes.is_empty() {
        wrong.add(&field, EventError::NoChanges);
    }
    if changes.len() > CHANGES_MAX {
        // What is too much is not looked through as well.
        wrong.add(
            &field,
            EventError::TooManyChanges {
                found: changes.len(),
            },
        );
        return Vec::new();
    }
    let mut ids = HashSet::with_capacity(changes.len());
    changes
        .iter()
        .enumerate()
        .filter_map(|(index, change)| {
            let at = path.item("changes", index);
            if !change.change_id.is_empty() && !ids.insert(change.change_id.as_str()) {
                wrong.add(
                    &at.field("change_id"),
                    EventError::RepeatedChangeId { index },
                );
            }
            read_change(&at, index, change, wrong)
        })
        .collect()
}

fn read_change(
    path: &FieldPath<'_>,
    index: usize,
    change: &v1::BalanceChange,
    wrong: &mut Violations,
) -> Option<BalanceChange> {
    let change_id = wrong.keep(&path.field("change_id"), ChangeId::parse(&change.change_id));
    let primary = read_currency_delta(
        path,
        &change.currency_code,
        &change.available_delta,
        &change.frozen_delta,
        wrong,
    );
    let moves_nothing = |fallback| EventError::MovesNothing { index, fallback };
    if primary.is_some_and(|primary| primary.delta.is_zero()) {
        wrong.add(path, moves_nothing(false));
    }
    let fallback = change.fallback.as_ref().map(|fallback| {
        let at = path.field("fallback");
        let part = read_currency_delta(
            &at,
            &fallback.currency_code,
            &fallback.available_delta,
            &fallback.frozen_delta,
            wrong,
        );
        if part.is_some_and(|part| part.delta.is_zero()) {
            wrong.add(&at, moves_nothing(true));
        }
        if let (Some(primary), Some(part)) = (primary, part)
            && primary.currency == part.currency
        {
            wrong.add(
                &at.field("currency_code"),
                EventError::FallbackInSameCurrency { index },
            );
        }
        part
    });
    Some(BalanceChange {
        change_id: change_id?,
        primary: primary?,
        fallback: match fallback {
            Some(part) => Some(part?),
            None => None,
        },
    })
}

fn read_currency_delta(
    path: &FieldPath<'_>,
    currency_code: &str,
    available_delta: &str,
    frozen_delta: &str,
    wrong: &mut Violations,
) -> Option<CurrencyDelta> {
    let currency = wrong.keep(
        &path.field("currency_code"),
        CurrencyCode::parse(currency_code),
    );
    let available = wrong.keep(
        &path.field("available_delta"),
        Amount::parse(available_delta),
    );
    let frozen = wrong.keep(&path.field("frozen_delta"), Amount::parse(frozen_delta));
    Some(CurrencyDelta {
        currency: currency?,
        delta: Delta {
            available: available?,
            frozen: frozen?,
        },
    })
}

#[cfg(test)]
#[path = "event_reader_tests.rs"]
mod tests;
