//! Amounts against plain big integers.

use crate::support::strategy::any_units;
use axs_domain::amount::{Amount, SCALE, UNITS_MAX};
use num_bigint::BigInt;
use proptest::prelude::*;

fn amount_of(units: i128) -> Amount {
    Amount::try_from_units(units).unwrap()
}

/// The sum as the domain should give it: the exact one, or none beyond 36 digits.
fn bounded(exact: &BigInt) -> Option<String> {
    (exact.magnitude().to_string().len() <= 36).then(|| exact.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_printed_is_read_back_over_the_whole_range(units in any_units()) {
        let amount = amount_of(units);
        prop_assert_eq!(Amount::parse(&amount.to_string()), Ok(amount));
    }

    #[test]
    fn what_is_printed_is_what_big_integers_print(units in any_units()) {
        let exact = BigInt::from(units);
        let digits = format!("{:0>19}", exact.magnitude().to_string());
        let (whole, fraction) = digits.split_at(digits.len() - SCALE as usize);
        let sign = if exact < BigInt::ZERO { "-" } else { "" };
        let full = format!("{sign}{whole}.{fraction}");
        let shortest = full.trim_end_matches('0').trim_end_matches('.');
        prop_assert_eq!(amount_of(units).to_string(), shortest);
        // The full form is another spelling of the same amount.
        if units != 0 {
            prop_assert_eq!(Amount::parse(&full), Ok(amount_of(units)));
        }
    }

    #[test]
    fn sums_and_differences_are_exact_or_refused(a in any_units(), b in any_units()) {
        let sum = amount_of(a).checked_add(amount_of(b)).map(|s| s.units().to_string());
        let difference = amount_of(a).checked_sub(amount_of(b)).map(|d| d.units().to_string());
        prop_assert_eq!(sum, bounded(&(BigInt::from(a) + BigInt::from(b))));
        prop_assert_eq!(difference, bounded(&(BigInt::from(a) - BigInt::from(b))));
    }

    #[test]
    fn signs_and_order_are_those_of_big_integers(a in any_units(), b in any_units()) {
        prop_assert_eq!(amount_of(a).cmp(&amount_of(b)), BigInt::from(a).cmp(&BigInt::from(b)));
        prop_assert_eq!(BigInt::from(amount_of(a).negated().units()), -BigInt::from(a));
        prop_assert_eq!(
            amount_of(a).magnitude().units().to_string(),
            BigInt::from(a).magnitude().to_string()
        );
        prop_assert_eq!(amount_of(a).is_negative(), BigInt::from(a) < BigInt::ZERO);
        prop_assert_eq!(amount_of(a).is_zero(), a == 0);
    }

    #[test]
    fn every_plain_decimal_within_the_range_is_accepted(
        negative in any::<bool>(),
        whole in 0u64..1_000_000_000_000_000_000,
        fraction in proptest::option::of("[0-9]{1,18}"),
    ) {
        let fraction = fraction.unwrap_or_default();
        let point = if fraction.is_empty() { "" } else { "." };
        let units: BigInt = format!("{whole}{fraction:0<18}").parse().unwrap();
        let negative = negative && units != BigInt::ZERO;
        let sign = if negative { "-" } else { "" };
        let expected = if negative { -units } else { units };
        let parsed = Amount::parse(&format!("{sign}{whole}{point}{fraction}")).unwrap();
        prop_assert_eq!(BigInt::from(parsed.units()), expected);
    }

    #[test]
    fn an_accepted_text_is_the_printed_one_but_for_zeros_at_its_end(
        text in prop_oneof![
            "-?[0-9]{0,20}\\.?[0-9]{0,20}",
            "[-+]?[0-9 ._eE\u{ff11}]{0,12}",
            ".{0,8}",
        ],
    ) {
        if let Ok(amount) = Amount::parse(&text) {
            let shortest = if text.contains('.') {
                text.trim_end_matches('0').trim_end_matches('.')
            } else {
                &text
            };
            prop_assert_eq!(amount.to_string(), shortest);
        }
    }

    #[test]
    fn the_decimals_of_an_amount_are_the_digits_that_its_text_has_after_the_point(
        units in any_units(),
        zeros in 0u32..=18,
    ) {
        let power = 10i128.pow(zeros);
        let amount = amount_of(units / power * power);
        let text = amount.to_string();
        let shown = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        prop_assert_eq!(amount.decimals() as usize, shown);
    }

    #[test]
    fn numbers_beyond_36_digits_are_no_amounts(units in any::<i128>()) {
        prop_assert_eq!(
            Amount::try_from_units(units).is_ok(),
            (-UNITS_MAX..=UNITS_MAX).contains(&units)
        );
    }
}
