//! A stretch of the log's time, as much of it as one transaction reads. PostgreSQL cleans up
//! nothing that an open transaction may still see, so none may be open for as long as it takes to
//! read a log of years, and no statement's bound would be long enough for it. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// What was logged after the one moment, if there is one, up to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) after: Option<DateTime<Utc>>,
    pub(super) until: DateTime<Utc>,
}

impl Window {
    /// Its oldest part, up to `end` if it ends no sooner: all that is older is in it.
    pub(super) fn first_part(self, end: Option<DateTime<Utc>>) -> Self {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    #[test]
    fn a_part_begins_where_the_whole_does_and_ends_no_later() {
        for (after, end, expected) in [
            (Some(0), Some(60), 60),
            (Some(120), Some(180), 150),
            (Some(0), Some(150), 150),
            // The log is younger than what is scanned.
            (None, Some(200), 150),
            (None, Some(20), 20),
            // The end of time.
            (Some(0), None, 150),
        ] {
            let whole = Window {
                after: after.map(at),
                until: at(150),
            };
            let part = Window {
                until: at(expected),
                ..whole
            };
            assert_eq!(whole.first_part(end.map(at)), part);
        }
    }

    #[test]
    fn what_has_no_beginning_is_longer_than_anything() {
        let of = |after: Option<i64>| Window {
            after: after.map(at),
            until: at(150),
        };
        let long = |window: Window| window.is_longer_than(TimeDelta::minutes(60));
        assert_eq!(
            [None, Some(0), Some(90), Some(200)].map(|it| long(of(it))),
            [true, true, false, false]
        );
    }
}
