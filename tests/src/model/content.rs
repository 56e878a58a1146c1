//! What an idempotency key guards: what the event does and for whom, with amounts as numbers.

use super::units::parse;
use axs_proto::v1::BalanceChangeEvent;
use num_bigint::BigInt;

/// One currency's movement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The currency.
    pub currency: String,
    /// Added to the available part.
    pub available: BigInt,
    /// Added to the frozen part.
    pub frozen: BigInt,
}

/// The content of an event. Labels and the client's clock are no part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What kind of event.
    pub event_type: String,
    /// Whose balances.
    pub account: i64,
    /// Of which user.
    pub user: i64,
    /// Who sends it.
    pub source: String,
    /// For which order.
    pub order: String,
    /// The movements, each with its second choice.
    pub changes: Vec<(Move, Option<Move>)>,
}

impl Content {
    /// The content of the event; `None` when an amount can't be read.
    #[must_use]
    pub fn of(event: &BalanceChangeEvent) -> Option<Self> {
        let changes = event.changes.iter().map(|change| {
            let primary = movement(
                &change.currency_code,
                &change.available_delta,
                &change.frozen_delta,
            )?;
            let fallback = match &change.fallback {
                None => None,
                Some(second) => Some(movement(
                    &second.currency_code,
                    &second.available_delta,
                    &second.frozen_delta,
                )?),
            };
            Some((primary, fallback))
        });
        Some(Self {
            event_type: event.event_type.clone(),
            account: event.account_id,
            user: event.user_id,
            source: event.source_service.clone(),
            order: event.related_order_id.clone(),
            changes: changes.collect::<Option<_>>()?,
        })
    }
}

fn movement(currency: &str, available: &str, frozen: &str) -> Option<Move> {
    Some(Move {
        currency: currency.to_owned(),
        available: parse(available)?,
        frozen: parse(frozen)?,
    })
}
