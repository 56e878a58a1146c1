//! Exact decimal money: an `i128` counted in units of 10⁻¹⁸, bounded to `NUMERIC(36,18)`.

use std::fmt;
use std::str::FromStr;

/// Decimals that every [`Amount`] carries.
pub const SCALE: u32 = 18;

/// Units of one whole: 10¹⁸.
pub const UNITS_PER_WHOLE: i128 = 1_000_000_000_000_000_000;

/// The largest magnitude in units: 36 nines, the bound of `NUMERIC(36,18)`.
pub const UNITS_MAX: i128 = UNITS_PER_WHOLE * UNITS_PER_WHOLE - 1;

/// The longest text [`Amount::parse`] accepts: sign, 18 digits, point, 18 digits.
pub const TEXT_LENGTH_MAX: usize = 38;

/// A signed amount of one currency.
///
/// All arithmetic is checked: an operation whose result leaves `NUMERIC(36,18)` gives `None`,
/// never a wrapped or rounded value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount, 999999999999999999.999999999999999999.
    pub const MAX: Self = Self(UNITS_MAX);
    /// The smallest amount, the negative of [`Amount::MAX`].
    pub const MIN: Self = Self(-UNITS_MAX);

    /// An amount from its units of 10⁻¹⁸.
    ///
    /// # Errors
    /// [`AmountError::OutOfRange`] beyond [`UNITS_MAX`] either way.
    pub const fn try_from_units(units: i128) -> Result<Self, AmountError> {
        if units > UNITS_MAX || units < -UNITS_MAX {
            Err(AmountError::OutOfRange)
        } else {
            Ok(Self(units))
        }
    }

    /// The amount in units of 10⁻¹⁸.
    #[must_use]
    pub const fn units(self) -> i128 {
        self.0
    }

    /// Parses a plain decimal: an optional `-`, digits, and optionally a point and digits.
    ///
    /// Nothing is rounded and nothing is guessed: signs of `+`, exponents, spaces, `NaN`, a
    /// negative zero, leading zeros, a bare point and more than 18 decimals are refused.
    ///
    /// # Errors
    /// An [`AmountError`] that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        if text.is_empty() {
            return Err(AmountError::Empty);
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        if !is_digits(whole) || fraction.is_some_and(|f| !is_digits(f)) {
            return Err(AmountError::NotPlainDecimal);
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(AmountError::LeadingZero);
        }
        let fraction = fraction.unwrap_or("");
        if fraction.len() > SCALE as usize {
            return Err(AmountError::TooManyDecimals);
        }
        // 18 whole digits and 18 decimals: at most 36 digits, which an i128 holds.
        if whole.len() > SCALE as usize {
            return Err(AmountError::OutOfRange);
        }
        let padding = SCALE as usize - fraction.len();
        let magnitude = whole
            .bytes()
            .chain(fraction.bytes())
            .chain(std::iter::repeat_n(b'0', padding))
            .fold(0i128, |units, digit| units * 10 + i128::from(digit - b'0'));
        if negative && magnitude == 0 {
            return Err(AmountError::NegativeZero);
        }
        Self::try_from_units(if negative { -magnitude } else { magnitude })
    }

    /// The sum, or `None` when it leaves the range.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        // Both are below 10³⁶, so the i128 sum can't overflow.
        Self::try_from_units(self.0 + other.0).ok()
    }

    /// The difference, or `None` when it leaves the range.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Self::try_from_units(self.0 - other.0).ok()
    }

    /// The amount with its sign turned. The range is symmetric, so this can't fail.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(-self.0)
    }

    /// The magnitude. The range is symmetric, so this can't fail.
    #[must_use]
    pub const fn magnitude(self) -> Self {
        Self(self.0.abs())
    }

    /// Whether the amount is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether the amount is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// How many decimals are needed to write the amount exactly, 0 to 18.
    #[must_use]
    pub const fn decimals(self) -> u32 {
        let mut units = self.0;
        if units == 0 {
            return 0;
        }
        let mut decimals = SCALE;
        while decimals > 0 && units % 10 == 0 {
            units /= 10;
            decimals -= 1;
        }
        decimals
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Prints the shortest exact decimal; [`Amount::parse`] reads it back to the same amount.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let whole = narrowed(magnitude / UNITS_PER_WHOLE.unsigned_abs());
        let mut fraction = narrowed(magnitude % UNITS_PER_WHOLE.unsigned_abs());
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let mut decimals = SCALE as usize;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            decimals -= 1;
        }
        write!(f, "{sign}{whole}.{fraction:0decimals$}")
    }
}

// What is before the point and what is behind it each fit into 64 bits.
const _: () = assert!(UNITS_MAX / UNITS_PER_WHOLE <= u64::MAX as i128);
const _: () = assert!(UNITS_PER_WHOLE <= u64::MAX as i128);

/// The digits on one side of the point, as a number that prints several times as fast.
fn narrowed(half: u128) -> u64 {
    u64::try_from(half).unwrap_or(u64::MAX)
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({self})")
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Why a text or a number is not an [`Amount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// No text at all.
    #[error("is empty; expected a decimal such as 12.5")]
    Empty,
    /// A sign of `+`, an exponent, a space, `NaN`, a bare point, or any other character.
    #[error("is not a plain decimal such as -12.5 (no plus sign, exponent, space or NaN)")]
    NotPlainDecimal,
    /// `007`: as likely a typing error as a seven.
    #[error("has a leading zero")]
    LeadingZero,
    /// `-0`, which has no meaning of its own.
    #[error("is a negative zero")]
    NegativeZero,
    /// More decimals than any currency can have.
    #[error("has more than {SCALE} decimals")]
    TooManyDecimals,
    /// Beyond `NUMERIC(36,18)`.
    #[error("is out of range (at most 18 digits before the point)")]
    OutOfRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_that_is_no_plain_decimal_is_refused_for_its_own_reason() {
        use AmountError::{
            Empty, LeadingZero, NegativeZero, NotPlainDecimal, OutOfRange, TooManyDecimals,
        };
        let over_long = "9".repeat(10_000);
        let over_long_fraction = format!("0.{}", "0".repeat(10_000));
        let rows: &[(&str, AmountError)] = &[
            ("", Empty),
            ("1e3", NotPlainDecimal),
            ("1E3", NotPlainDecimal),
            ("1e-3", NotPlainDecimal),
            ("NaN", NotPlainDecimal),
            ("Infinity", NotPlainDecimal),
            ("inf", NotPlainDecimal),
            ("+5", NotPlainDecimal),
            ("-+5", NotPlainDecimal),
            ("--5", NotPlainDecimal),
            ("5-", NotPlainDecimal),
            ("-", NotPlainDecimal),
            (".", NotPlainDecimal),
            ("-.", NotPlainDecimal),
            (".5", NotPlainDecimal),
            ("-.5", NotPlainDecimal),
            ("5.", NotPlainDecimal),
            ("1.2.3", NotPlainDecimal),
            ("1..2", NotPlainDecimal),
            ("1.-2", NotPlainDecimal),
            ("1_000", NotPlainDecimal),
            ("1,000", NotPlainDecimal),
            ("1,5", NotPlainDecimal),
            (" 5", NotPlainDecimal),
            ("5 ", NotPlainDecimal),
            ("5\n", NotPlainDecimal),
            ("- 5", NotPlainDecimal),
            ("1 000", NotPlainDecimal),
            ("5\0", NotPlainDecimal),
            ("0x10", NotPlainDecimal),
            ("\u{ff15}", NotPlainDecimal),   // a full-width five
            ("\u{665}", NotPlainDecimal),    // an Arabic-Indic five
            ("\u{2212}5", NotPlainDecimal),  // the typographer's minus
            ("1\u{ff0e}5", NotPlainDecimal), // a full-width point
            ("\u{feff}5", NotPlainDecimal),  // a byte order mark
            ("007", LeadingZero),
            ("-007", LeadingZero),
            ("00", LeadingZero),
            ("00.5", LeadingZero),
            ("-0", NegativeZero),
            ("-0.0", NegativeZero),
            ("-0.000000000000000000", NegativeZero),
            ("0.0000000000000000001", TooManyDecimals),
            ("1.0000000000000000000", TooManyDecimals),
            ("1000000000000000000", OutOfRange),
            ("-1000000000000000000", OutOfRange),
            ("1000000000000000000.0", OutOfRange),
            (&over_long, OutOfRange),
            (&over_long_fraction, TooManyDecimals),
        ];
        for (text, reason) in rows {
            assert_eq!(Amount::parse(text), Err(*reason), "{:.60?}", text);
        }
    }

    #[test]
    fn plain_decimals_are_read_exactly() {
        let rows: &[(&str, i128)] = &[
            ("0", 0),
            ("0.0", 0),
            ("0.000000000000000000", 0),
            ("1", UNITS_PER_WHOLE),
            ("1.0", UNITS_PER_WHOLE),
            ("-1", -UNITS_PER_WHOLE),
            ("10", 10 * UNITS_PER_WHOLE),
            ("0.000000000000000001", 1),
            ("-0.000000000000000001", -1),
            ("12.5", 12_500_000_000_000_000_000),
            ("12.500", 12_500_000_000_000_000_000),
            ("999999999999999999.999999999999999999", UNITS_MAX),
            ("-999999999999999999.999999999999999999", -UNITS_MAX),
        ];
        for (text, units) in rows {
            assert_eq!(Amount::parse(text).map(Amount::units), Ok(*units), "{text}");
        }
    }

    #[test]
    fn an_amount_is_printed_in_its_shortest_exact_form() {
        let rows: &[(i128, &str, u32)] = &[
            (0, "0", 0),
            (1, "0.000000000000000001", 18),
            (-1, "-0.000000000000000001", 18),
            (UNITS_PER_WHOLE, "1", 0),
            (-10 * UNITS_PER_WHOLE, "-10", 0),
            (UNITS_PER_WHOLE / 2, "0.5", 1),
            (-UNITS_PER_WHOLE / 20, "-0.05", 2),
            (1_010_000_000_000_000_000, "1.01", 2),
            (UNITS_MAX, "999999999999999999.999999999999999999", 18),
        ];
        for (units, text, decimals) in rows {
            let amount = Amount::try_from_units(*units).unwrap();
            assert_eq!(amount.to_string(), *text);
            assert_eq!(amount.decimals(), *decimals, "{text}");
        }
    }

    #[test]
    fn the_longest_accepted_text_is_the_smallest_amount() {
        assert_eq!(Amount::MIN.to_string().len(), TEXT_LENGTH_MAX);
    }

    #[test]
    fn the_range_ends_where_numeric_36_18_ends() {
        assert_eq!(UNITS_MAX.to_string(), "9".repeat(36));
        assert_eq!(Amount::try_from_units(UNITS_MAX), Ok(Amount::MAX));
        assert_eq!(Amount::try_from_units(-UNITS_MAX), Ok(Amount::MIN));
        for units in [UNITS_MAX + 1, -UNITS_MAX - 1, i128::MAX, i128::MIN] {
            assert_eq!(
                Amount::try_from_units(units),
                Err(AmountError::OutOfRange),
                "{units}"
            );
        }
    }
}
