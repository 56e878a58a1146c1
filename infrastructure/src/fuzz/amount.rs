//! Decimal text, against a reader of its own.

use super::seed::Mutated;
use super::{catches, drive};
use axs_domain::amount::{Amount, AmountError, SCALE, UNITS_MAX};
use num_bigint::BigInt;

fn seeds() -> Mutated {
    Mutated::texts(include_str!("../../corpus/amount.txt"))
}

/// What the text means, in units: read without a bound and without a word of the domain's code.
fn meaning(text: &str) -> Option<BigInt> {
    let (sign, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (-1, rest),
        all => (1, all),
    };
    let mut parts = digits.split(|byte| *byte == b'.');
    let (whole, fraction) = (parts.next()?, parts.next());
    let all_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if parts.next().is_some() || !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return None;
    }
    let has_leading_zero = whole.len() > 1 && whole[0] == b'0';
    let decimals = fraction.unwrap_or_default();
    if has_leading_zero || decimals.len() > SCALE as usize {
        return None;
    }
    let mut figures = [whole, decimals].concat();
    figures.resize(whole.len() + SCALE as usize, b'0');
    let magnitude = BigInt::parse_bytes(&figures, 10)?;
    let negative_zero = sign < 0 && magnitude == BigInt::ZERO;
    let fits = magnitude <= BigInt::from(UNITS_MAX);
    (fits && !negative_zero).then_some(magnitude * sign)
}

fn check(bytes: &[u8], parse: impl Fn(&str) -> Result<Amount, AmountError>) -> Result<(), String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    let read = parse(text).ok();
    let expected = meaning(text);
    if read.map(|amount| BigInt::from(amount.units())) != expected {
        return Err(format!(
            "{text:?} is read as {read:?}, it means {expected:?}"
        ));
    }
    if let Some(amount) = read
        && parse(&amount.to_string()) != Ok(amount)
    {
        return Err(format!(
            "{text:?} is printed as {amount}, which is read as another"
        ));
    }
    Ok(())
}

#[test]
fn decimal_text_means_what_it_says_or_nothing() {
    drive(&seeds(), |bytes| check(bytes, Amount::parse));
}

#[test]
fn a_reader_that_drops_digits_is_caught() {
    // Rounds what has too many decimals, instead of refusing it.
    let rounds = |text: &str| match (Amount::parse(text), text.find('.')) {
        (Err(AmountError::TooManyDecimals), Some(point)) => {
            Amount::parse(&text[..point + 1 + SCALE as usize])
        }
        (read, _) => read,
    };
    assert!(catches(&seeds(), |bytes| check(bytes, rounds)));
}

#[test]
fn a_reader_that_accepts_another_form_is_caught() {
    let lenient = |text: &str| Amount::parse(text.strip_prefix('+').unwrap_or(text));
    assert!(catches(&seeds(), |bytes| check(bytes, lenient)));
}
