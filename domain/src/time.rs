//! Points in time, as arguments. The domain reads no clock.

use std::fmt;
use std::time::Duration;

/// A point on PostgreSQL's clock, in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

/// A point on this process's monotonic clock, as the time since some start of its own.
///
/// Comparable only inside one process. Never sent, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// From the time since the clock's start.
    #[must_use]
    pub const fn from_start(since: Duration) -> Self {
        Self(since)
    }

    /// The time from `earlier` to this point; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This point moved forward, saturating at the clock's end.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_arithmetic_saturates_at_both_ends() {
        let start = Monotonic::from_start(Duration::ZERO);
        let later = start.plus(Duration::from_secs(3));
        assert_eq!(later.since(start), Duration::from_secs(3));
        assert_eq!(start.since(later), Duration::ZERO);
        assert_eq!(
            later.plus(Duration::MAX),
            Monotonic::from_start(Duration::MAX)
        );
    }

    #[test]
    fn a_timestamp_keeps_its_microseconds() {
        for micros in [i64::MIN, -1, 0, 1_700_000_000_000_001, i64::MAX] {
            assert_eq!(Timestamp::from_unix_micros(micros).unix_micros(), micros);
        }
    }
}
