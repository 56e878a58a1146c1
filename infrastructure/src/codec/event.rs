//! The one place where the message of an event becomes the domain's event, and back.

use axs_domain::amount::Amount;
use axs_domain::balance::Delta;
use axs_domain::change::{BalanceChange, CurrencyDelta};
use axs_domain::currency::CurrencyCode;
use axs_domain::event::{BalanceChangeEvent, CHANGES_MAX, EventError, EventParts};
use axs_domain::id::{AccountId, UserId};
use axs_domain::text::{ChangeId, EventId, EventType, IdempotencyKey, OrderId, SourceService};
use axs_proto::v1;
use std::fmt::Display;

/// A field that no API would have accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct FieldError {
    /// The path from the event, e.g. `changes[0].available_delta`.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl FieldError {
    pub(super) fn new(field: impl Into<String>, problem: impl Display) -> Self {
        Self {
            field: field.into(),
            problem: problem.to_string(),
        }
    }
}

impl From<EventError> for FieldError {
    fn from(error: EventError) -> Self {
        Self::new(error.field(), error)
    }
}

/// The domain's event of a message. Amounts are read exactly, never rounded.
///
/// # Errors
/// [`FieldError`] with the path of the first field that is wrong.
pub fn event_from_message(
    message: &v1::BalanceChangeEvent,
) -> Result<BalanceChangeEvent, FieldError> {
    // Before any of them is read: what is too much must cost nothing.
    if message.changes.len() > CHANGES_MAX {
        let found = message.changes.len();
        return Err(EventError::TooManyChanges { found }.into());
    }
    let parts = EventParts {
        event_id: at("event_id", EventId::parse(&message.event_id))?,
        event_type: at("event_type", EventType::parse(&message.event_type))?,
        account_id: at("account_id", AccountId::try_new(message.account_id))?,
        user_id: at("user_id", UserId::try_new(message.user_id))?,
        source_service: at(
            "source_service",
            SourceService::parse(&message.source_service),
        )?,
        related_order_id: if message.related_order_id.is_empty() {
            None
        } else {
            let order = OrderId::parse(&message.related_order_id);
            Some(at("related_order_id", order)?)
        },
        idempotency_key: at(
            "idempotency_key",
            IdempotencyKey::parse(&message.idempotency_key),
        )?,
        created_msec: message.created_msec,
        changes: message
            .changes
            .iter()
            .enumerate()
            .map(|(index, change)| change_from_message(index, change))
            .collect::<Result<_, _>>()?,
    };
    Ok(BalanceChangeEvent::try_new(parts)?)
}

fn change_from_message(
    index: usize,
    message: &v1::BalanceChange,
) -> Result<BalanceChange, FieldError> {
    let change_id = ChangeId::parse(&message.change_id)
        .map_err(|problem| FieldError::new(format!("changes[{index}].change_id"), problem))?;
    let primary = currency_delta(
        &message.currency_code,
        &message.available_delta,
        &message.frozen_delta,
    )
    .map_err(|error| error.below(&format!("changes[{index}]")))?;
    let fallback = message
        .fallback
        .as_ref()
        .map(|fallback| {
            currency_delta(
                &fallback.currency_code,
                &fallback.available_delta,
                &fallback.frozen_delta,
            )
            .map_err(|error| error.below(&format!("changes[{index}].fallback")))
        })
        .transpose()?;
    Ok(BalanceChange {
        change_id,
        primary,
        fallback,
    })
}

fn currency_delta(code: &str, available: &str, frozen: &str) -> Result<CurrencyDelta, FieldError> {
    Ok(CurrencyDelta {
        currency: at("currency_code", CurrencyCode::parse(code))?,
        delta: Delta {
            available: at("available_delta", Amount::parse(available))?,
            frozen: at("frozen_delta", Amount::parse(frozen))?,
        },
    })
}

fn at<T, E: Display>(field: &str, parsed: Result<T, E>) -> Result<T, FieldError> {
    parsed.map_err(|problem| FieldError::new(field, problem))
}

impl FieldError {
    fn below(self, parent: &str) -> Self {
        Self {
            field: format!("{parent}.{}", self.field),
            ..self
        }
    }
}

/// The message of an event. Reading it back gives the same event.
#[must_use]
pub fn event_to_message(event: &BalanceChangeEvent) -> v1::BalanceChangeEvent {
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
