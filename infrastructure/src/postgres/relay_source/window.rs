//! A stretch of the log's time, as much of it as one transaction reads. PostgreSQL cleans up
//! nothing that an open transaction may still see, so none may be open for as long as it takes to
//! read a log of years, and no statement's bound would be long enough for it. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// The log of so much time is read by one transaction: 100 million states at 30,000 a second.
const WINDOW: TimeDelta = TimeDelta::hours(1);

/// What was logged after the one moment, if there is one, up to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) after: Option<DateTime<Utc>>,
    pub(super) until: DateTime<Utc>,
}

impl Window {
    /// The oldest part of it. `began` is when the log did, as far as is known: what is older all
    /// the same is read too.
    pub(super) fn first_part(self, began: DateTime<Utc>) -> Self {
        let end = self
            .after
            .map_or(Some(began), |after| after.checked_add_signed(WINDOW));
        Self {
            after: self.after,
            until: end.map_or(self.until, |end| end.min(self.until)),
        }
    }

    /// Whether more than this was logged in it, or it has no beginning.
    pub(super) fn is_longer_than(self, time: TimeDelta) -> bool {
        self.after
            .is_none_or(|after| self.until.signed_duration_since(after) > time)
    }

    /// Whether one transaction does not read all of it.
    pub(super) fn has_parts(self) -> bool {
        self.is_longer_than(WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    #[test]
    fn a_part_is_an_hour_at_most_and_the_first_one_all_that_is_older_than_the_log() {
        for (after, until, began, end) in [
            (Some(0), 150, 0, 60),
            (Some(60), 150, 0, 120),
            (Some(120), 150, 0, 150),
            (Some(0), 60, 0, 60),
            (None, 150, 20, 20),
            // The log is younger than what is scanned, or the mark lies above its end.
            (None, 150, 200, 150),
            (Some(200), 150, 0, 150),
        ] {
            let whole = Window {
                after: after.map(at),
                until: at(until),
            };
            let expected = Window {
                until: at(end),
                ..whole
            };
            assert_eq!(whole.first_part(at(began)), expected);
            let has_parts = after.is_none_or(|after| until - after > 60);
            assert_eq!(whole.has_parts(), has_parts);
        }
    }

    #[test]
    fn the_end_of_time_is_in_a_part_too() {
        let whole = Window {
            after: Some(DateTime::<Utc>::MAX_UTC - TimeDelta::minutes(1)),
            until: DateTime::<Utc>::MAX_UTC,
        };
        assert_eq!(whole.first_part(at(0)), whole);
    }
}
