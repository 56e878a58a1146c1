//! A decoded event as JSON, with the fields of `axs.v1.BalanceChangeEvent`.

use axs_domain::change::CurrencyDelta;
use axs_domain::event::BalanceChangeEvent;
use serde_json::{Value, json};

pub(super) fn event_json(event: &BalanceChangeEvent) -> Value {
    let changes: Vec<Value> = event
        .changes()
        .iter()
        .map(|change| {
            let mut json = delta_json(&change.primary);
            json["change_id"] = change.change_id.as_str().into();
            if let Some(fallback) = &change.fallback {
                json["fallback"] = delta_json(fallback);
            }
            json
        })
        .collect();
    json!({
        "event_id": event.event_id().as_str(),
        "event_type": event.event_type().as_str(),
        "account_id": event.account_id().value(),
        "user_id": event.user_id().value(),
        "source_service": event.source_service().as_str(),
        "related_order_id": event.related_order_id().map(|id| id.as_str()),
        "idempotency_key": event.idempotency_key().as_str(),
        "created_msec": event.created_msec(),
        "changes": changes,
    })
}

fn delta_json(delta: &CurrencyDelta) -> Value {
    json!({
        "currency_code": delta.currency.as_str(),
        "available_delta": delta.delta.available.to_string(),
        "frozen_delta": delta.delta.frozen.to_string(),
    })
}
