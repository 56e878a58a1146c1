//! Sums of amounts that may leave the range of an amount.

use axs_domain::amount::Amount;
use std::fmt;

/// Units of one whole: amounts have 18 decimals.
const WHOLE: i128 = 10_i128.pow(18);

/// An exact sum of any number of amounts that fits into a ledger: whole units and a fraction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WideSum {
    whole: i128,
    /// From 0 to below one whole, also in a negative sum.
    fraction: i128,
}

impl WideSum {
    /// The sum with one more amount. 10²⁰ of the largest amounts fit.
    #[must_use]
    pub const fn plus(self, amount: Amount) -> Self {
        let units = amount.units();
        self.plus_sum(Self {
            whole: units.div_euclid(WHOLE),
            fraction: units.rem_euclid(WHOLE),
        })
    }

    /// The sum of both.
    #[must_use]
    pub const fn plus_sum(self, other: Self) -> Self {
        let fraction = self.fraction + other.fraction;
        Self {
            whole: self
                .whole
                .saturating_add(other.whole)
                .saturating_add(fraction / WHOLE),
            fraction: fraction % WHOLE,
        }
    }
}

impl fmt::Display for WideSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, whole, fraction) = if self.whole < 0 && self.fraction > 0 {
            ("-", -(self.whole + 1), WHOLE - self.fraction)
        } else if self.whole < 0 {
            ("-", -self.whole, 0)
        } else {
            ("", self.whole, self.fraction)
        };
        let text = format!("{sign}{whole}.{fraction:018}");
        f.pad(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::amount;

    #[test]
    fn sums_are_exact_on_both_sides_of_zero() {
        let rows: [(&[&str], &str); 7] = [
            (&[], "0"),
            (&["1.5", "2.5"], "4"),
            (&["-0.000000000000000001"], "-0.000000000000000001"),
            (&["-1.25", "0.25"], "-1"),
            (&["-1.25", "1.25"], "0"),
            (&["-2", "0.1"], "-1.9"),
            (
                &[
                    "999999999999999999.999999999999999999",
                    "999999999999999999.999999999999999999",
                ],
                "1999999999999999999.999999999999999998",
            ),
        ];
        for (amounts, expected) in rows {
            let sum = amounts
                .iter()
                .fold(WideSum::default(), |sum, text| sum.plus(amount(text)));
            assert_eq!(sum.to_string(), expected, "{amounts:?}");
        }
    }

    #[test]
    fn the_order_of_adding_changes_nothing() {
        let texts = [
            "-7.3",
            "999999999999999999",
            "0.000000000000000003",
            "-999999999999999999",
        ];
        let there = texts
            .iter()
            .fold(WideSum::default(), |s, t| s.plus(amount(t)));
        let back = texts
            .iter()
            .rev()
            .fold(WideSum::default(), |s, t| s.plus(amount(t)));
        assert_eq!(there, back);
        assert_eq!(there.to_string(), "-7.299999999999999997");
    }
}
