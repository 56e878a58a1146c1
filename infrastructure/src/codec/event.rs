//! The message of an event becomes the domain's event, and back.

use axs_domain::amount::{self, Amount};
use axs_domain::change::BalanceChange;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::event_draft::{ChangeDraft, ChangeDrafts, DeltaDraft, EventDraft, Flaw};
use axs_proto::v1;
use std::fmt::Write;

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
        event_id: event.event_id().as_str().to_owned(),
        event_type: event.event_type().as_str().to_owned(),
        account_id: event.account_id().value(),
        user_id: event.user_id().value(),
        source_service: event.source_service().as_str().to_owned(),
        related_order_id: event
            .related_order_id()
            .map_or_else(String::new, |order| order.as_str().to_owned()),
        idempotency_key: event.idempotency_key().as_str().to_owned(),
        created_msec: event.created_msec(),
        changes: event.changes().iter().map(change_to_message).collect(),
    }
}

fn change_to_message(change: &BalanceChange) -> v1::BalanceChange {
    v1::BalanceChange {
        change_id: change.change_id.as_str().to_owned(),
        currency_code: change.primary.currency.as_str().to_owned(),
        available_delta: decimal(change.primary.delta.available),
        frozen_delta: decimal(change.primary.delta.frozen),
        fallback: change.fallback.map(|fallback| v1::BalanceChangeFallback {
            currency_code: fallback.currency.as_str().to_owned(),
            available_delta: decimal(fallback.delta.available),
            frozen_delta: decimal(fallback.delta.frozen),
        }),
    }
}

/// The amount as text, made in one allocation.
pub(super) fn decimal(amount: Amount) -> String {
    let mut text = String::with_capacity(amount::TEXT_LENGTH_MAX);
    // A String takes whatever is written to it.
    let _ = write!(text, "{amount}");
    text
}
