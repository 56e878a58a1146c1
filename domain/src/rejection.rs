//! The domain's "no": a result, not an error. Numbers are stable; they are stored and published.

use crate::amount::Amount;
use crate::currency::CurrencyCode;
use std::fmt;

/// Why one attempt at a change was refused, with the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// `available` would fall below what the rules allow.
    InsufficientAvailable {
        /// In which currency.
        currency: CurrencyCode,
        /// How much was asked for, positive.
        asked: Amount,
        /// How much there was.
        available: Amount,
        /// How far below zero `available` might go.
        credit: Amount,
    },
    /// `frozen` would fall below zero.
    InsufficientFrozen {
        /// In which currency.
        currency: CurrencyCode,
        /// How much was asked for, positive.
        asked: Amount,
        /// How much there was.
        frozen: Amount,
    },
    /// A part of the balance would leave `NUMERIC(36,18)`.
    BalanceOverflow {
        /// In which currency.
        currency: CurrencyCode,
    },
    /// A rule of the platform said no.
    RuleRefused {
        /// In which currency.
        currency: CurrencyCode,
        /// The rule's name.
        rule: &'static str,
        /// What the rule says to a person.
        message: String,
    },
}

/// The stable number of a rejection. Numbers are never used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectionCode {
    /// See [`Rejection::InsufficientAvailable`].
    InsufficientAvailable,
    /// See [`Rejection::InsufficientFrozen`].
    InsufficientFrozen,
    /// See [`Rejection::BalanceOverflow`].
    BalanceOverflow,
    /// See [`Rejection::RuleRefused`].
    RuleRefused,
    /// An operator discarded the event after it was parked.
    Discarded,
}

impl RejectionCode {
    /// Every code, in the order of the numbers.
    pub const ALL: [Self; 5] = [
        Self::InsufficientAvailable,
        Self::InsufficientFrozen,
        Self::BalanceOverflow,
        Self::RuleRefused,
        Self::Discarded,
    ];

    /// The number that is stored and published.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::InsufficientAvailable => 1,
            Self::InsufficientFrozen => 2,
            Self::BalanceOverflow => 3,
            Self::RuleRefused => 4,
            Self::Discarded => 5,
        }
    }

    /// The code of a stored number.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The stable name of a number, or `UNKNOWN`: an older program beside a newer one.
    #[must_use]
    pub fn name_of(number: i16) -> &'static str {
        Self::from_number(number).map_or("UNKNOWN", Self::name)
    }

    /// The same as a word. As stable as the number.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsufficientAvailable => "INSUFFICIENT_AVAILABLE",
            Self::InsufficientFrozen => "INSUFFICIENT_FROZEN",
            Self::BalanceOverflow => "BALANCE_OVERFLOW",
            Self::RuleRefused => "RULE_REFUSED",
            Self::Discarded => "DISCARDED",
        }
    }
}

impl Rejection {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> RejectionCode {
        match self {
            Self::InsufficientAvailable { .. } => RejectionCode::InsufficientAvailable,
            Self::InsufficientFrozen { .. } => RejectionCode::InsufficientFrozen,
            Self::BalanceOverflow { .. } => RejectionCode::BalanceOverflow,
            Self::RuleRefused { .. } => RejectionCode::RuleRefused,
        }
    }

    /// The currency it is about.
    #[must_use]
    pub const fn currency(&self) -> CurrencyCode {
        match self {
            Self::InsufficientAvailable { currency, .. }
            | Self::InsufficientFrozen { currency, .. }
            | Self::BalanceOverflow { currency }
            | Self::RuleRefused { currency, .. } => *currency,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsufficientAvailable {
                currency,
                asked,
                available,
                credit,
            } if credit.is_zero() => {
                write!(f, "asked for {asked} {currency}, {available} available")
            }
            Self::InsufficientAvailable {
                currency,
                asked,
                available,
                credit,
            } => {
                write!(
                    f,
                    "asked for {asked} {currency}, {available} available and {credit} credit"
                )
            }
            Self::InsufficientFrozen {
                currency,
                asked,
                frozen,
            } => {
                write!(
                    f,
                    "asked for {asked} {currency} of the frozen part, {frozen} frozen"
                )
            }
            Self::BalanceOverflow { currency } => {
                write!(f, "the {currency} balance would leave the range of amounts")
            }
            Self::RuleRefused {
                currency,
                rule,
                message,
            } => {
                write!(f, "rule {rule} refuses the change in {currency}: {message}")
            }
        }
    }
}

/// Why an event was refused: at which change, and why each branch that was tried failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRejection {
    /// Which change, from 0.
    pub change_index: usize,
    /// Why the change as asked was refused.
    pub primary: Rejection,
    /// Why its fallback was refused too, when one was tried.
    pub fallback: Option<Rejection>,
}

impl EventRejection {
    /// The stable code: that of the change as asked.
    #[must_use]
    pub const fn code(&self) -> RejectionCode {
        self.primary.code()
    }
}

impl fmt::Display for EventRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "changes[{}]: {}", self.change_index, self.primary)?;
        match &self.fallback {
            Some(fallback) => write!(f, "; fallback: {fallback}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd() -> CurrencyCode {
        CurrencyCode::parse("USD").unwrap()
    }

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn numbers_of_codes_are_pinned_for_ever() {
        let numbers = RejectionCode::ALL.map(|code| (code, code.number()));
        let pinned = [
            (RejectionCode::InsufficientAvailable, 1),
            (RejectionCode::InsufficientFrozen, 2),
            (RejectionCode::BalanceOverflow, 3),
            (RejectionCode::RuleRefused, 4),
            (RejectionCode::Discarded, 5),
        ];
        assert_eq!(numbers, pinned);
        for (code, number) in pinned {
            assert_eq!(RejectionCode::from_number(number), Some(code));
        }
        assert_eq!(RejectionCode::from_number(0), None);
        assert_eq!(RejectionCode::from_number(6), None);
    }

    #[test]
    fn a_refusal_tells_a_person_its_code_currency_and_figures() {
        let insufficient = |credit: &str| Rejection::InsufficientAvailable {
            currency: usd(),
            asked: amount("100"),
            available: amount("40.5"),
            credit: amount(credit),
        };
        let frozen = Rejection::InsufficientFrozen {
            currency: usd(),
            asked: amount("3"),
            frozen: amount("2"),
        };
        let overflow = Rejection::BalanceOverflow { currency: usd() };
        let rule = Rejection::RuleRefused {
            currency: usd(),
            rule: "daily-limit",
            message: "1200 of 1000 today".to_owned(),
        };
        let rows = [
            (insufficient("0"), 1, "asked for 100 USD, 40.5 available"),
            (
                insufficient("50"),
                1,
                "asked for 100 USD, 40.5 available and 50 credit",
            ),
            (frozen, 2, "asked for 3 USD of the frozen part, 2 frozen"),
            (
                overflow,
                3,
                "the USD balance would leave the range of amounts",
            ),
            (
                rule,
                4,
                "rule daily-limit refuses the change in USD: 1200 of 1000 today",
            ),
        ];
        for (rejection, number, text) in rows {
            assert_eq!(rejection.code().number(), number, "{text}");
            assert_eq!(rejection.currency(), usd(), "{text}");
            assert_eq!(rejection.to_string(), text);
        }
    }

    #[test]
    fn an_events_refusal_names_the_change_and_both_branches_and_has_the_primarys_code() {
        let primary = Rejection::InsufficientFrozen {
            currency: usd(),
            asked: amount("3"),
            frozen: amount("2"),
        };
        let mut rejection = EventRejection {
            change_index: 2,
            primary,
            fallback: None,
        };
        assert_eq!(
            rejection.to_string(),
            "changes[2]: asked for 3 USD of the frozen part, 2 frozen"
        );
        rejection.fallback = Some(Rejection::BalanceOverflow { currency: usd() });
        assert!(
            rejection
                .to_string()
                .ends_with("; fallback: the USD balance would leave the range of amounts")
        );
        assert_eq!(rejection.code(), RejectionCode::InsufficientFrozen);
    }
}
