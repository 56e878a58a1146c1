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

/// As RFC 3339 has it, in UTC, to the microsecond: `2026-11-23T00:51:31.123456Z`. Years beyond its
/// four digits, which no clock gives, have more.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, micros) = (
            self.0.div_euclid(MICROS_OF_DAY),
            self.0.rem_euclid(MICROS_OF_DAY),
        );
        let (year, month, day) = civil(days);
        let seconds = micros / MICROS_OF_SECOND;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60,
            micros % MICROS_OF_SECOND
        )
    }
}

const MICROS_OF_SECOND: i64 = 1_000_000;

const MICROS_OF_DAY: i64 = 86_400 * MICROS_OF_SECOND;

/// Year, month and day of the Gregorian calendar, so many days after 1970-01-01. Counted in years
/// that begin in March, so that a leap day is the last of its year, and in eras of 400 years, all
/// of one length.
const fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_ERA: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const DAYS_BEFORE: i64 = 719_468;
    let days = days + DAYS_BEFORE;
    let (era, day_of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    // Leap days before: one in 1,461 days, none in the last of 36,524, and one in the last of the
    // era.
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on have 153 days in five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = year_of_era + 400 * era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
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
    fn a_timestamp_is_shown_as_people_read_times() {
        let rows = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_799_000_000, "2000-02-29T23:59:59.000000Z"),
            (951_868_800_000_000, "2000-03-01T00:00:00.000000Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
            (4_107_456_000_000_000, "2100-02-28T00:00:00.000000Z"),
            (1_735_689_599_000_001, "2024-12-31T23:59:59.000001Z"),
            (1_700_000_000_123_456, "2023-11-14T22:13:20.123456Z"),
        ];
        for (micros, text) in rows {
            assert_eq!(Timestamp::from_unix_micros(micros).to_string(), text);
        }
        for micros in [i64::MIN, i64::MAX] {
            assert!(
                Timestamp::from_unix_micros(micros)
                    .to_string()
                    .ends_with('Z')
            );
        }
    }

    #[test]
    fn a_timestamp_keeps_its_microseconds() {
        for micros in [i64::MIN, -1, 0, 1_700_000_000_000_001, i64::MAX] {
            assert_eq!(Timestamp::from_unix_micros(micros).unix_micros(), micros);
        }
    }
}
