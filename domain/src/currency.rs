//! Registered currencies: a typing error must not open a balance.

use crate::amount::{Amount, SCALE};
use std::collections::HashMap;
use std::fmt;

/// The longest currency code, in characters.
pub const CODE_LENGTH_MAX: usize = 16;

/// A currency's code: 1 to 16 of `A–Z`, `0–9`, `_`, `-`, `.`, beginning with a letter or a digit.
///
/// Held inline, so that keys of balances cost no allocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CurrencyCode {
    bytes: [u8; CODE_LENGTH_MAX],
    length: u8,
}

impl CurrencyCode {
    /// Checks length and characters.
    ///
    /// # Errors
    /// [`CurrencyCodeError`] that says which of the two fails.
    pub fn parse(text: &str) -> Result<Self, CurrencyCodeError> {
        if text.is_empty() {
            return Err(CurrencyCodeError::Empty);
        }
        if text.len() > CODE_LENGTH_MAX {
            return Err(CurrencyCodeError::TooLong { length: text.len() });
        }
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let sound = text
            .bytes()
            .enumerate()
            .all(|(i, b)| allowed(b) || (i > 0 && matches!(b, b'_' | b'-' | b'.')));
        if !sound {
            return Err(CurrencyCodeError::BadCharacter);
        }
        let mut bytes = [0; CODE_LENGTH_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len())
            .map_err(|_| CurrencyCodeError::TooLong { length: text.len() })?;
        Ok(Self { bytes, length })
    }

    /// The code's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only `parse` makes codes, and it admits ASCII alone: the fallback is never taken.
        std::str::from_utf8(&self.bytes[..usize::from(self.length)]).unwrap_or("")
    }
}

impl fmt::Display for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CurrencyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CurrencyCode({self})")
    }
}

/// Why a text is no currency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CurrencyCodeError {
    /// No text.
    #[error("is empty")]
    Empty,
    /// Beyond [`CODE_LENGTH_MAX`].
    #[error("is {length} bytes long; at most {CODE_LENGTH_MAX} are allowed")]
    TooLong {
        /// Bytes found.
        length: usize,
    },
    /// A character outside the set.
    #[error("may hold only A-Z, 0-9 and, after the first, '_', '-', '.'")]
    BadCharacter,
}

/// A registered currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    code: CurrencyCode,
    decimals: u8,
    active: bool,
}

impl Currency {
    /// A currency with its number of decimals.
    ///
    /// # Errors
    /// [`TooManyDecimals`] above 18.
    pub fn try_new(
        code: CurrencyCode,
        decimals: u8,
        active: bool,
    ) -> Result<Self, TooManyDecimals> {
        if u32::from(decimals) > SCALE {
            return Err(TooManyDecimals { decimals });
        }
        Ok(Self {
            code,
            decimals,
            active,
        })
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> CurrencyCode {
        self.code
    }

    /// Decimals an amount of this currency may have, 0 to 18.
    #[must_use]
    pub const fn decimals(&self) -> u8 {
        self.decimals
    }

    /// Whether new changes in it are accepted.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }
}

/// A currency was to have more than 18 decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has {decimals} decimals; at most {SCALE} are allowed")]
pub struct TooManyDecimals {
    /// Decimals asked for.
    pub decimals: u8,
}

/// The currencies that are registered, as the API knows them.
#[derive(Debug, Clone, Default)]
pub struct CurrencySet(HashMap<CurrencyCode, Currency>);

impl CurrencySet {
    /// A set of these currencies.
    pub fn new(currencies: impl IntoIterator<Item = Currency>) -> Self {
        Self(currencies.into_iter().map(|c| (c.code, c)).collect())
    }

    /// The currency with this code.
    #[must_use]
    pub fn find(&self, code: CurrencyCode) -> Option<&Currency> {
        self.0.get(&code)
    }

    /// Checks that new changes in the currency are accepted.
    ///
    /// # Errors
    /// [`CurrencyError::Unknown`] or [`CurrencyError::Inactive`].
    pub fn accept(&self, code: CurrencyCode) -> Result<&Currency, CurrencyError> {
        let currency = self.0.get(&code).ok_or(CurrencyError::Unknown { code })?;
        if currency.active {
            Ok(currency)
        } else {
            Err(CurrencyError::Inactive { code })
        }
    }
}

impl Currency {
    /// Checks that the amount has no more decimals than the currency.
    ///
    /// # Errors
    /// [`CurrencyError::TooPrecise`] with both numbers.
    pub fn fits(&self, amount: Amount) -> Result<(), CurrencyError> {
        let found = amount.decimals();
        if found > u32::from(self.decimals) {
            return Err(CurrencyError::TooPrecise {
                code: self.code,
                allowed: self.decimals,
                found,
            });
        }
        Ok(())
    }
}

/// Why a currency, or an amount in it, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CurrencyError {
    /// Nobody registered the code.
    #[error("{code} is not a registered currency")]
    Unknown {
        /// The code asked for.
        code: CurrencyCode,
    },
    /// The currency takes no new changes.
    #[error("{code} is not active")]
    Inactive {
        /// The code asked for.
        code: CurrencyCode,
    },
    /// More decimals than the currency has.
    #[error("has {found} decimals; {code} has {allowed}")]
    TooPrecise {
        /// The currency.
        code: CurrencyCode,
        /// Decimals of the currency.
        allowed: u8,
        /// Decimals of the amount.
        found: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> CurrencyCode {
        CurrencyCode::parse(text).unwrap()
    }

    #[test]
    fn a_code_is_short_plain_and_upper_case() {
        use CurrencyCodeError::{BadCharacter, Empty, TooLong};
        let rows: &[(&str, Result<(), CurrencyCodeError>)] = &[
            ("A", Ok(())),
            ("USD", Ok(())),
            ("1INCH", Ok(())),
            ("USDT-TRC20", Ok(())),
            ("A.B_C-D", Ok(())),
            ("ABCDEFGHIJKLMNOP", Ok(())),
            ("", Err(Empty)),
            ("ABCDEFGHIJKLMNOPQ", Err(TooLong { length: 17 })),
            ("usd", Err(BadCharacter)),
            ("Usd", Err(BadCharacter)),
            ("-USD", Err(BadCharacter)),
            ("_USD", Err(BadCharacter)),
            (".USD", Err(BadCharacter)),
            (" USD", Err(BadCharacter)),
            ("USD ", Err(BadCharacter)),
            ("US D", Err(BadCharacter)),
            ("USD\0", Err(BadCharacter)),
            ("\u{ff35}\u{ff33}\u{ff24}", Err(BadCharacter)), // USD in full-width letters
            ("\u{415}UR", Err(BadCharacter)),                // a Cyrillic letter that looks like E
        ];
        for (text, expected) in rows {
            assert_eq!(CurrencyCode::parse(text).map(|_| ()), *expected, "{text:?}");
        }
    }

    #[test]
    fn codes_keep_their_text_and_sort_as_it_does() {
        let mut texts = ["B", "A", "AB", "A-", "A1", "ABCDEFGHIJKLMNOP"];
        let mut codes = texts.map(code);
        texts.sort_unstable();
        codes.sort_unstable();
        assert_eq!(codes.map(|code| code.to_string()), texts.map(str::to_owned));
    }

    #[test]
    fn a_currency_has_at_most_18_decimals() {
        assert!(Currency::try_new(code("ETH"), 18, true).is_ok());
        assert_eq!(
            Currency::try_new(code("ETH"), 19, true),
            Err(TooManyDecimals { decimals: 19 })
        );
    }

    #[test]
    fn an_amount_fits_when_it_needs_no_more_decimals_than_the_currency_has() {
        let rows: &[(u8, &str, Option<u32>)] = &[
            (0, "5", None),
            (0, "5.0", None),
            (0, "0.1", Some(1)),
            (2, "0.01", None),
            (2, "0.010", None),
            (2, "-0.001", Some(3)),
            (18, "0.000000000000000001", None),
        ];
        for (decimals, text, excess) in rows {
            let currency = Currency::try_new(code("XYZ"), *decimals, true).unwrap();
            let expected = match excess {
                None => Ok(()),
                Some(found) => Err(CurrencyError::TooPrecise {
                    code: code("XYZ"),
                    allowed: *decimals,
                    found: *found,
                }),
            };
            assert_eq!(
                currency.fits(Amount::parse(text).unwrap()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn only_registered_and_active_currencies_are_accepted() {
        let usd = Currency::try_new(code("USD"), 2, true).unwrap();
        let old = Currency::try_new(code("OLD"), 2, false).unwrap();
        let set = CurrencySet::new([usd, old]);
        assert_eq!(set.accept(code("USD")), Ok(&usd));
        assert_eq!(
            set.accept(code("OLD")),
            Err(CurrencyError::Inactive { code: code("OLD") })
        );
        assert_eq!(
            set.accept(code("USB")),
            Err(CurrencyError::Unknown { code: code("USB") })
        );
        assert_eq!(set.find(code("OLD")), Some(&old));
    }
}
