//! Decimals read and printed: integers of 10⁻¹⁸, the model's own way.

use num_bigint::BigInt;

/// Digits after the point.
const DECIMALS: usize = 18;

/// Digits of the largest magnitude: 18 before the point and 18 after it.
pub const UNITS_MAX_DIGITS: usize = 36;

/// Reads a decimal as the contract describes it: `None` when it is malformed or out of bounds.
#[must_use]
pub fn parse(text: &str) -> Option<BigInt> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let mut halves = unsigned.split('.');
    let whole = halves.next()?;
    let fraction = halves.next();
    if halves.next().is_some() {
        return None;
    }
    let all_digits = |digits: &str| digits.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || whole.len() > DECIMALS || !all_digits(whole) {
        return None;
    }
    if whole != "0" && whole.starts_with('0') {
        return None;
    }
    let fraction = match fraction {
        None => "",
        Some(digits) if digits.is_empty() || digits.len() > DECIMALS || !all_digits(digits) => {
            return None;
        }
        Some(digits) => digits,
    };
    let units: BigInt = format!("{whole}{fraction:0<DECIMALS$}").parse().ok()?;
    let negative = text.starts_with('-');
    if negative && units == BigInt::ZERO {
        return None;
    }
    Some(if negative { -units } else { units })
}

/// The shortest exact decimal.
#[must_use]
pub fn print(units: &BigInt) -> String {
    let text = units.magnitude().to_string();
    let padded = format!("{text:0>width$}", width = DECIMALS + 1);
    let (whole, fraction) = padded.split_at(padded.len() - DECIMALS);
    let fraction = fraction.trim_end_matches('0');
    let sign = if *units < BigInt::ZERO { "-" } else { "" };
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// How many decimals the amount needs.
#[must_use]
pub fn decimals(units: &BigInt) -> usize {
    print(units)
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len())
}

/// So many wholes.
#[must_use]
pub fn whole(count: i64) -> BigInt {
    BigInt::from(count) * BigInt::from(10).pow(18)
}
