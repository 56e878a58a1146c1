//! The message of an event becomes the domain's event, and back.

use axs_domain::change::BalanceChange;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::event_draft::{ChangeDraft, ChangeDrafts, DeltaDraft, EventDraft, Flaw};
use axs_proto::v1;

/// The domain's event of a message. Amounts are read exactly, never rounded.
///
/// # Errors
/// The first [`Flaw`]: no API would have accepted such an event.
pub(super) fn event_from_message(
    message: &v1::BalanceChangeEvent,
) -> Result<BalanceChangeEvent, Flaw> {
    let draft = EventDraft {
        event_id: &message.event_id,
        event_type: &message.event_type,
        account_id: message.account_id,
        user_id: message.user_id,
        source_service: &message.source_service,
        related_order_id: &message.related_order_id,
        idempotency_key: &message.idempotency_key,
        created_msec: message.created_msec,
        changes: ChangeDrafts::new(message.changes.iter().map(change_draft)),
    };
    draft.parse().map_err(|flaws| flaws.first().clone())
}

fn change_draft(message: &v1::BalanceChange) -> ChangeDraft<'_> {
    ChangeDraft {
        change_id: &message.change_id,
        primary: DeltaDraft {
            currency_code: &message.currency_code,
            available_delta: &message.available_delta,
            frozen_delta: &message.frozen_delta,
        },
        fallback: message.fallback.as_ref().map(|fallback| DeltaDraft {
            currency_code: &fallback.currency_code,
            available_delta: &fallback.available_delta,
            frozen_delta: &fallback.frozen_delta,
        }),
    }
}

/// The message of an event. Reading it back gives the same event.
pub(super) fn event_to_message(event: &BalanceChangeEvent) -> v1::BalanceChangeEvent {
    v1::BalanceChangeEvent {
        event_id: event.event_id().to_string(),
        event_type: event.event_type().to_string(),
        account_id: event.account_id().value(),
        user_id: event.user_id().value(),
        source_service: event.source_service().to_string(),
        related_order_id: event
            .related_order_id()
            .map_or_else(String::new, ToString::to_string),
        idempotency_key: event.idempotency_key().to_string(),
        created_msec: event.created_msec(),
        changes: event.changes().iter().map(change_to_message).collect(),
    }
}

fn change_to_message(change: &BalanceChange) -> v1::BalanceChange {
    v1::BalanceChange {
        change_id: change.change_id.to_string(),
        currency_code: change.primary.currency.to_string(),
        available_delta: change.primary.delta.available.to_string(),
        frozen_delta: change.primary.delta.frozen.to_string(),
        fallback: change.fallback.map(|fallback| v1::BalanceChangeFallback {
            currency_code: fallback.currency.to_string(),
            available_delta: fallback.delta.available.to_string(),
            frozen_delta: fallback.delta.frozen.to_string(),
        }),
    }
}
