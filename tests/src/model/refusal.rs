//! What the API must not take, with the code and the field it must name.

use super::CurrencyTerms;
use super::units::{decimals, parse};
use axs_proto::v1::{BalanceChange, BalanceChangeEvent, RefusalCode};
use num_bigint::BigInt;
use std::collections::{BTreeMap, BTreeSet};

const CHANGES_MAX: usize = 64;
const CODE_LENGTH_MAX: usize = 16;

/// A refusal, as far as the contract fixes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedRefusal {
    /// The kind.
    pub code: RefusalCode,
    /// The path inside the event that a violation must name; `None` where the contract leaves it
    /// open.
    pub field: Option<String>,
}

impl ExpectedRefusal {
    /// A field that is malformed or out of bounds.
    #[must_use]
    pub fn field(path: &str) -> Self {
        Self {
            code: RefusalCode::InvalidField,
            field: Some(path.to_owned()),
        }
    }

    /// The key is known with other content.
    #[must_use]
    pub const fn key_reused() -> Self {
        Self::about(RefusalCode::KeyReused)
    }

    const fn about(code: RefusalCode) -> Self {
        Self { code, field: None }
    }
}

type Checked = Result<(), ExpectedRefusal>;

/// Checks the event as the contract describes it. An event with several faults gets the first
/// that is found here, so scripts give each event one fault at most.
pub fn check(
    event: &BalanceChangeEvent,
    users: &BTreeMap<i64, i64>,
    currencies: &BTreeMap<String, CurrencyTerms>,
) -> Checked {
    check_texts(event)?;
    check_changes(event)?;
    match users.get(&event.account_id) {
        None => return Err(ExpectedRefusal::about(RefusalCode::UnknownAccount)),
        Some(user) if *user != event.user_id => {
            return Err(ExpectedRefusal::about(RefusalCode::WrongUser));
        }
        Some(_) => {}
    }
    for (index, change) in event.changes.iter().enumerate() {
        for part in parts(index, change) {
            check_currency(&part, currencies)?;
        }
    }
    Ok(())
}

fn check_texts(event: &BalanceChangeEvent) -> Checked {
    let texts = [
        ("event_id", &event.event_id, 128),
        ("event_type", &event.event_type, 64),
        ("source_service", &event.source_service, 64),
        ("idempotency_key", &event.idempotency_key, 128),
    ];
    for (field, value, length_max) in texts {
        if !is_sound(value, length_max) {
            return Err(ExpectedRefusal::field(field));
        }
    }
    let order = &event.related_order_id;
    if !order.is_empty() && !is_sound(order, 128) {
        return Err(ExpectedRefusal::field("related_order_id"));
    }
    for (field, id) in [("account_id", event.account_id), ("user_id", event.user_id)] {
        if id < 1 {
            return Err(ExpectedRefusal::field(field));
        }
    }
    Ok(())
}

fn is_sound(text: &str, length_max: usize) -> bool {
    !text.is_empty()
        && text.len() <= length_max
        && text == text.trim()
        && !text.chars().any(char::is_control)
}

fn check_changes(event: &BalanceChangeEvent) -> Checked {
    if event.changes.is_empty() || event.changes.len() > CHANGES_MAX {
        return Err(ExpectedRefusal::field("changes"));
    }
    let mut ids = BTreeSet::new();
    for (index, change) in event.changes.iter().enumerate() {
        let id = format!("changes[{index}].change_id");
        if !is_sound(&change.change_id, 64) || !ids.insert(&change.change_id) {
            return Err(ExpectedRefusal::field(&id));
        }
        for part in parts(index, change) {
            part.check_shape()?;
        }
        if let Some(fallback) = &change.fallback
            && fallback.currency_code == change.currency_code
        {
            let path = format!("changes[{index}].fallback.currency_code");
            return Err(ExpectedRefusal::field(&path));
        }
    }
    Ok(())
}

/// One movement of a change, and its path.
struct Part<'e> {
    path: String,
    currency: &'e str,
    available: &'e str,
    frozen: &'e str,
}

fn parts(index: usize, change: &BalanceChange) -> Vec<Part<'_>> {
    let primary = Part {
        path: format!("changes[{index}]"),
        currency: &change.currency_code,
        available: &change.available_delta,
        frozen: &change.frozen_delta,
    };
    let fallback = change.fallback.as_ref().map(|second| Part {
        path: format!("changes[{index}].fallback"),
        currency: &second.currency_code,
        available: &second.available_delta,
        frozen: &second.frozen_delta,
    });
    std::iter::once(primary).chain(fallback).collect()
}

impl Part<'_> {
    fn amounts(&self) -> [(&'static str, Option<BigInt>); 2] {
        [
            ("available_delta", parse(self.available)),
            ("frozen_delta", parse(self.frozen)),
        ]
    }

    fn check_shape(&self) -> Checked {
        let code = self.currency;
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        let sound = code.len() <= CODE_LENGTH_MAX
            && code.starts_with(plain)
            && code.chars().all(|c| plain(c) || "_-.".contains(c));
        if !sound {
            return Err(ExpectedRefusal::field(&format!(
                "{}.currency_code",
                self.path
            )));
        }
        let mut moves = false;
        for (name, amount) in self.amounts() {
            match amount {
                None => return Err(ExpectedRefusal::field(&format!("{}.{name}", self.path))),
                Some(amount) => moves |= amount != BigInt::ZERO,
            }
        }
        if moves {
            Ok(())
        } else {
            Err(ExpectedRefusal::field(&self.path))
        }
    }
}

fn check_currency(part: &Part<'_>, currencies: &BTreeMap<String, CurrencyTerms>) -> Checked {
    let Some(terms) = currencies.get(part.currency) else {
        return Err(ExpectedRefusal::about(RefusalCode::UnknownCurrency));
    };
    if !terms.active {
        return Err(ExpectedRefusal::about(RefusalCode::InactiveCurrency));
    }
    for (_, amount) in part.amounts() {
        let found = amount.map_or(0, |amount| decimals(&amount));
        if found > terms.decimals as usize {
            return Err(ExpectedRefusal::about(RefusalCode::TooPrecise));
        }
    }
    Ok(())
}
