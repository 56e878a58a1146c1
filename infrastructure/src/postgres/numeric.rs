//! `NUMERIC` on the binary wire, for amounts.
//!
//! PostgreSQL sends and takes four 16-bit words (count of digits, weight of the first, sign,
//! decimals to show), then digits in base 10,000, all big-endian. Zeros at either end are left
//! out. The point stands between two base-10,000 digits, so 18 decimals fill four and a half of
//! them: the units are multiplied by 100 first, and the fraction is then five digits long.

use axs_domain::amount::{Amount, AmountError, SCALE};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// The base of the wire's digits.
const BASE: u128 = 10_000;

/// Base-10,000 digits behind the point.
const FRACTION_DIGITS: i16 = 5;

/// What lifts 18 decimals to five whole digits of base 10,000.
const LIFT: u128 = 100;

/// 36 decimal digits and the two of [`LIFT`] are at most ten digits of base 10,000.
const DIGITS_MAX: usize = 10;

const SIGN_POSITIVE: u16 = 0x0000;
const SIGN_NEGATIVE: u16 = 0x4000;

/// Words before the digits.
const HEADER_LENGTH: usize = 8;

/// Bytes of the longest amount.
pub(crate) const NUMERIC_LENGTH_MAX: usize = HEADER_LENGTH + 2 * DIGITS_MAX;

/// An amount as a `NUMERIC` parameter or column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PgAmount(pub Amount);

/// Appends the amount in the binary form, without its length.
pub(crate) fn encode(amount: Amount, buffer: &mut Vec<u8>) {
    let units = amount.units();
    // Below 10³⁶ · 100, which a u128 holds.
    let mut rest = units.unsigned_abs() * LIFT;
    let mut digits = [0u16; DIGITS_MAX];
    let mut first = DIGITS_MAX;
    while rest > 0 {
        first -= 1;
        // A remainder of 10,000 fits a u16.
        digits[first] = u16::try_from(rest % BASE).unwrap_or(0);
        rest /= BASE;
    }
    let significant = digits[first..]
        .iter()
        .rposition(|digit| *digit != 0)
        .map_or(0, |last| last + 1);
    let written = &digits[first..first + significant];
    // At most ten digits: both counts fit an i16.
    let length = i16::try_from(DIGITS_MAX - first).unwrap_or(0);
    let weight = if significant == 0 {
        0
    } else {
        length - FRACTION_DIGITS - 1
    };
    let sign = if units < 0 {
        SIGN_NEGATIVE
    } else {
        SIGN_POSITIVE
    };
    buffer.extend_from_slice(&i16::try_from(significant).unwrap_or(0).to_be_bytes());
    buffer.extend_from_slice(&weight.to_be_bytes());
    buffer.extend_from_slice(&sign.to_be_bytes());
    buffer.extend_from_slice(&u16::try_from(SCALE).unwrap_or(0).to_be_bytes());
    for digit in written {
        buffer.extend_from_slice(&digit.to_be_bytes());
    }
}

/// Why bytes from the server are no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumericError {
    /// Fewer or more bytes than the header says.
    #[error("a NUMERIC of {length} bytes is malformed")]
    Malformed {
        /// Bytes found.
        length: usize,
    },
    /// NaN or an infinity.
    #[error("a NUMERIC that is no number can't be an amount")]
    NotANumber,
    /// Digits beyond the 18th decimal.
    #[error("a NUMERIC with more than {SCALE} decimals can't be an amount")]
    TooPrecise,
    /// Beyond `NUMERIC(36,18)`.
    #[error(transparent)]
    OutOfRange(#[from] AmountError),
}

/// Reads the binary form.
///
/// # Errors
/// A [`NumericError`]: nothing is rounded.
pub(crate) fn decode(bytes: &[u8]) -> Result<Amount, NumericError> {
    let malformed = NumericError::Malformed {
        length: bytes.len(),
    };
    let words: Vec<u16> = bytes
        .chunks(2)
        .map(|word| word.try_into().map(u16::from_be_bytes))
        .collect::<Result<_, _>>()
        .map_err(|_| malformed)?;
    let [count, weight, sign, _shown, digits @ ..] = words.as_slice() else {
        return Err(malformed);
    };
    if digits.len() != usize::from(*count) {
        return Err(malformed);
    }
    let negative = match *sign {
        SIGN_POSITIVE => false,
        SIGN_NEGATIVE => true,
        _ => return Err(NumericError::NotANumber),
    };
    let mut lifted = 0u128;
    let mut position = i32::from(weight.cast_signed()) + i32::from(FRACTION_DIGITS);
    for digit in digits {
        if *digit != 0 {
            let exponent = u32::try_from(position).map_err(|_| NumericError::TooPrecise)?;
            let part = BASE
                .checked_pow(exponent)
                .and_then(|power| power.checked_mul(u128::from(*digit)))
                .ok_or(AmountError::OutOfRange)?;
            lifted = lifted.checked_add(part).ok_or(AmountError::OutOfRange)?;
        }
        position -= 1;
    }
    if !lifted.is_multiple_of(LIFT) {
        return Err(NumericError::TooPrecise);
    }
    let units = i128::try_from(lifted / LIFT).map_err(|_| AmountError::OutOfRange)?;
    Ok(Amount::try_from_units(if negative {
        -units
    } else {
        units
    })?)
}

impl Type<Postgres> for PgAmount {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("NUMERIC")
    }
}

impl PgHasArrayType for PgAmount {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("NUMERIC[]")
    }
}

impl Encode<'_, Postgres> for PgAmount {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let mut bytes = Vec::with_capacity(NUMERIC_LENGTH_MAX);
        encode(self.0, &mut bytes);
        buffer.extend_from_slice(&bytes);
        Ok(IsNull::No)
    }
}

impl Decode<'_, Postgres> for PgAmount {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self(decode(value.as_bytes()?)?)),
            PgValueFormat::Text => Ok(Self(Amount::parse(value.as_str()?)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(text: &str) -> Vec<u8> {
        let mut buffer = Vec::new();
        encode(Amount::parse(text).unwrap(), &mut buffer);
        buffer
    }

    fn words(words: &[u16]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn amounts_are_written_as_postgresql_writes_them() {
        let minus = SIGN_NEGATIVE;
        let below = |places: i16| (-places).cast_unsigned();
        let rows: &[(&str, Vec<u8>)] = &[
            ("0", words(&[0, 0, 0, 18])),
            ("1", words(&[1, 0, 0, 18, 1])),
            ("-1", words(&[1, 0, minus, 18, 1])),
            ("10000", words(&[1, 1, 0, 18, 1])),
            ("12.5", words(&[2, 0, 0, 18, 12, 5000])),
            ("0.0001", words(&[1, below(1), 0, 18, 1])),
            ("0.000000000000000001", words(&[1, below(5), 0, 18, 100])),
        ];
        for (text, bytes) in rows {
            assert_eq!(bytes_of(text), *bytes, "{text}");
        }
        assert_eq!(
            bytes_of("-999999999999999999.999999999999999999").len(),
            NUMERIC_LENGTH_MAX
        );
    }

    #[test]
    fn bytes_that_are_no_amount_are_refused_and_nothing_is_rounded() {
        let rows: &[(Vec<u8>, NumericError)] = &[
            (vec![], NumericError::Malformed { length: 0 }),
            (vec![0; 7], NumericError::Malformed { length: 7 }),
            (
                words(&[2, 0, 0, 0, 1]),
                NumericError::Malformed { length: 10 },
            ),
            (words(&[0, 0, 0xC000, 0]), NumericError::NotANumber),
            (words(&[0, 0, 0xD000, 0]), NumericError::NotANumber),
            (words(&[0, 0, 0xF000, 0]), NumericError::NotANumber),
            // 10⁻²⁰ and 10⁻²⁴
            (
                words(&[1, (-5i16).cast_unsigned(), 0, 20, 1]),
                NumericError::TooPrecise,
            ),
            (
                words(&[1, (-6i16).cast_unsigned(), 0, 24, 1]),
                NumericError::TooPrecise,
            ),
            (
                words(&[1, 5, 0, 0, 1]),
                NumericError::OutOfRange(AmountError::OutOfRange),
            ),
            (
                words(&[1, 9_999, 0, 0, 1]),
                NumericError::OutOfRange(AmountError::OutOfRange),
            ),
        ];
        for (bytes, reason) in rows {
            assert_eq!(decode(bytes), Err(*reason), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(units in -axs_domain::amount::UNITS_MAX..=axs_domain::amount::UNITS_MAX) {
            let amount = Amount::try_from_units(units).unwrap();
            let mut buffer = Vec::new();
            encode(amount, &mut buffer);
            prop_assert!(buffer.len() <= NUMERIC_LENGTH_MAX);
            prop_assert_eq!(decode(&buffer), Ok(amount));
        }
    }
}
