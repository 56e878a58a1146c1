//! NUMERIC on the binary wire, against big integers.

use super::seed::Mutated;
use super::{catches, drive};
use crate::postgres::numeric::{NumericError, decode, encode};
use axs_domain::amount::{Amount, SCALE, UNITS_MAX};
use num_bigint::BigInt;

/// Weights beyond this make numbers too large to be worth counting: none of them fits.
const WEIGHT_MAX: i32 = 40;

fn seeds() -> Mutated {
    Mutated::hex(include_str!("../../corpus/numeric.hex"))
}

/// What the bytes mean, in units: digit by digit, without a bound.
fn meaning(bytes: &[u8]) -> Option<BigInt> {
    if !bytes.len().is_multiple_of(2) || bytes.len() < 8 {
        return None;
    }
    let words: Vec<u16> = bytes
        .chunks(2)
        .map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[1]))
        .collect();
    let (count, weight, sign) = (words[0], words[1].cast_signed(), words[2]);
    let digits = &words[4..];
    if digits.len() != usize::from(count) || (sign != 0 && sign != 0x4000) {
        return None;
    }
    // In units of 10⁻²⁴, so that six digits behind the point are whole; what is smaller is kept
    // apart.
    let mut fine = BigInt::ZERO;
    for (place, digit) in digits.iter().enumerate().filter(|(_, digit)| **digit != 0) {
        let exponent = i32::from(weight) - i32::try_from(place).ok()?;
        if !(-6..=WEIGHT_MAX).contains(&exponent) {
            return None;
        }
        let power = u32::try_from((exponent + 6) * 4).ok()?;
        fine += BigInt::from(*digit) * BigInt::from(10).pow(power);
    }
    let step = BigInt::from(10).pow(24 - SCALE);
    if &fine % &step != BigInt::ZERO {
        return None;
    }
    let units = fine / step;
    let signed = if sign == 0 { units } else { -units };
    (signed.magnitude() <= BigInt::from(UNITS_MAX).magnitude()).then_some(signed)
}

/// The one form in which PostgreSQL writes the amount, from its decimal text.
fn canonical(amount: Amount) -> Vec<u8> {
    let text = amount.magnitude().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let whole = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let fraction = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let figures = format!("{whole}{fraction}");
    let digits: Vec<u16> = (0..figures.len() / 4)
        .map(|group| figures[group * 4..group * 4 + 4].parse().unwrap())
        .collect();
    let leading = digits.iter().take_while(|digit| **digit == 0).count();
    let kept = digits
        .iter()
        .rposition(|digit| *digit != 0)
        .map_or(leading, |last| last + 1);
    let digits = &digits[leading.min(kept)..kept];
    let weight = match digits {
        [] => 0,
        _ => i16::try_from(whole.len() / 4).unwrap() - 1 - i16::try_from(leading).unwrap(),
    };
    let sign = if amount.is_negative() { 0x4000 } else { 0 };
    let head = [
        u16::try_from(digits.len()).unwrap(),
        weight.cast_unsigned(),
        sign,
        18,
    ];
    head.iter()
        .chain(digits)
        .flat_map(|word| word.to_be_bytes())
        .collect()
}

fn check(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<Amount, NumericError>,
    encode: impl Fn(Amount, &mut Vec<u8>),
) -> Result<(), String> {
    let read = decode(bytes);
    let expected = meaning(bytes);
    if read.ok().map(|amount| BigInt::from(amount.units())) != expected {
        return Err(format!("read as {read:?}, they mean {expected:?}"));
    }
    let Ok(amount) = read else { return Ok(()) };
    let mut written = Vec::new();
    encode(amount, &mut written);
    if written != canonical(amount) {
        return Err(format!("{amount} is written as {written:02x?}"));
    }
    if decode(&written) != Ok(amount) {
        return Err(format!("{amount} is not read back"));
    }
    Ok(())
}

#[test]
fn numeric_bytes_mean_one_amount_or_none_and_go_back_in_one_form() {
    drive(&seeds(), |bytes| check(bytes, decode, encode));
}

#[test]
fn a_reader_that_forgets_the_sign_is_caught() {
    let unsigned = |bytes: &[u8]| decode(bytes).map(Amount::magnitude);
    assert!(catches(&seeds(), |bytes| check(bytes, unsigned, encode)));
}

#[test]
fn a_writer_that_keeps_zeros_at_the_end_is_caught() {
    let padded = |amount: Amount, buffer: &mut Vec<u8>| {
        encode(amount, buffer);
        buffer.extend_from_slice(&[0, 0]);
        buffer[1] += 1;
    };
    assert!(catches(&seeds(), |bytes| check(bytes, decode, padded)));
}
