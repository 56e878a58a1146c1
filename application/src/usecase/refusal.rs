//! Why one item of a request was not taken, while its neighbours go on.

use super::backlog::BacklogFull;
use axs_domain::currency::CurrencyError;
use std::time::Duration;

/// The kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// A field is malformed or out of bounds.
    InvalidField,
    /// The account was never opened.
    UnknownAccount,
    /// The account belongs to another user.
    WrongUser,
    /// The currency was never registered.
    UnknownCurrency,
    /// The currency takes no new changes.
    InactiveCurrency,
    /// The amount has more decimals than its currency.
    TooPrecise,
    /// The idempotency key is known with other content.
    KeyReused,
    /// The thing exists with other properties.
    AlreadyExists,
    /// The pool of shards was never laid out.
    UnknownPool,
    /// Too much waits to be decided before it. This try logged nothing.
    BacklogFull,
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field's path inside the item, e.g. `changes[0].available_delta`. The caller puts the
    /// item's own path in front.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// Why an item was not taken. It has no effect, and sending it again may give another answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind.
    pub code: RefusalCode,
    /// What is wrong and, where it is known, what is expected.
    pub message: String,
    /// The fields that are wrong.
    pub violations: Vec<FieldViolation>,
    /// After which time the same item may be taken; `None` when waiting does not help.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal for one field.
    #[must_use]
    pub fn of_field(code: RefusalCode, field: &str, description: &str) -> Self {
        Self::of_fields(
            code,
            vec![FieldViolation {
                field: field.to_owned(),
                description: description.to_owned(),
            }],
        )
    }

    /// A refusal for several fields, whose message names each.
    #[must_use]
    pub fn of_fields(code: RefusalCode, violations: Vec<FieldViolation>) -> Self {
        let message = violations
            .iter()
            .map(|violation| format!("{} {}", violation.field, violation.description))
            .collect::<Vec<_>>()
            .join("; ");
        Self {
            code,
            message,
            violations,
            retry_after: None,
        }
    }
}

impl From<BacklogFull> for Refusal {
    fn from(full: BacklogFull) -> Self {
        Self {
            code: RefusalCode::BacklogFull,
            message: full.to_string(),
            violations: Vec::new(),
            retry_after: Some(full.retry_after),
        }
    }
}

impl From<&CurrencyError> for RefusalCode {
    fn from(error: &CurrencyError) -> Self {
        match error {
            CurrencyError::Unknown { .. } => Self::UnknownCurrency,
            CurrencyError::Inactive { .. } => Self::InactiveCurrency,
            CurrencyError::TooPrecise { .. } => Self::TooPrecise,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_refusal_names_every_wrong_field() {
        let violation = |field: &str| FieldViolation {
            field: field.to_owned(),
            description: "is wrong".to_owned(),
        };
        let refusal = Refusal::of_fields(
            RefusalCode::TooPrecise,
            vec![violation("changes[0]"), violation("changes[1]")],
        );
        assert_eq!(refusal.message, "changes[0] is wrong; changes[1] is wrong");
    }
}
