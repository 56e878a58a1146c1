//! Which history of which database: what a claim and a cached balance are worth nothing beyond.

use std::fmt;

/// One history of one database, as a number that the store gives. Two histories that may differ
/// have two of them: a restore, a failover, a restart and a copy each begin another. Only equality
/// means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(i64);

impl Incarnation {
    /// Wraps the store's number; every number is one.
    #[must_use]
    pub const fn new(value: i64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> i64 {
        self.0
    }
}

/// Sixteen hexadecimal digits, whatever the number.
impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_written_in_sixteen_digits() {
        for (number, text) in [
            (0, "0000000000000000"),
            (0xABC, "0000000000000abc"),
            (-1, "ffffffffffffffff"),
            (i64::MIN, "8000000000000000"),
        ] {
            assert_eq!(Incarnation::new(number).to_string(), text);
        }
    }
}
