//! Events of the contract become events of the domain, or a refusal that names every wrong field.

use super::field_path::FieldPath;
use super::violations::Violations;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::event_draft::{ChangeDraft, ChangeDrafts, DeltaDraft, EventDraft};
use axs_proto::v1;

/// Reads the event at `path`.
///
/// # Errors
/// A refusal that lists every field that is wrong, not only the first.
pub(super) fn read_event(
    path: &FieldPath<'_>,
    event: v1::BalanceChangeEvent,
) -> Result<BalanceChangeEvent, v1::Refusal> {
    let draft = EventDraft {
        event_id: &event.event_id,
        event_type: &event.event_type,
        account_id: event.account_id,
        user_id: event.user_id,
        source_service: &event.source_service,
        related_order_id: &event.related_order_id,
        idempotency_key: &event.idempotency_key,
        created_msec: event.created_msec,
        changes: ChangeDrafts::new(event.changes.iter().map(change_draft)),
    };
    draft
        .parse()
        .map_err(|flaws| Violations::of(path, &flaws).into_refusal())
}

fn change_draft(change: &v1::BalanceChange) -> ChangeDraft<'_> {
    ChangeDraft {
        change_id: &change.change_id,
        primary: DeltaDraft {
            currency_code: &change.currency_code,
            available_delta: &change.available_delta,
            frozen_delta: &change.frozen_delta,
        },
        fallback: change.fallback.as_ref().map(|fallback| DeltaDraft {
            currency_code: &fallback.currency_code,
            available_delta: &fallback.available_delta,
            frozen_delta: &fallback.frozen_delta,
        }),
    }
}

#[cfg(test)]
mod tests;
