//! A scan in windows of the log's time, each read by a transaction of its own. PostgreSQL cleans up
//! nothing that an open transaction may still see, so none may be open for as long as it takes to
//! read a log of years, and no statement's bound would be long enough for it. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// The log of so much time is read by one transaction: 100 million states at 30,000 a second.
const WINDOW: TimeDelta = TimeDelta::hours(1);

/// A part of the log: what was logged after the one moment, if there is one, up to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) after: Option<DateTime<Utc>>,
    pub(super) until: DateTime<Utc>,
}

/// Windows from the oldest on, without a gap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    /// What comes next; nothing more once it is empty.
    rest: Window,
    /// Where the first window ends, when it has no beginning.
    oldest: DateTime<Utc>,
    is_over: bool,
}

impl Windows {
    /// The windows of this part of the log. `oldest` is when the log began, as far as is known;
    /// what is older all the same is in the first window.
    pub(super) const fn new(whole: Window, oldest: DateTime<Utc>) -> Self {
        Self {
            rest: whole,
            oldest,
            is_over: false,
        }
    }
}

impl Iterator for Windows {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        if self.is_over {
            return None;
        }
        let Window { after, until } = self.rest;
        let end = after.map_or(Some(self.oldest), |after| after.checked_add_signed(WINDOW));
        let end = end.map_or(until, |end| end.min(until));
        self.is_over = end == until;
        self.rest.after = Some(end);
        Some(Window { after, until: end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    /// The windows' bounds, in minutes.
    fn windows(after: Option<i64>, until: i64, oldest: i64) -> Vec<(Option<i64>, i64)> {
        let minutes = |at: DateTime<Utc>| at.timestamp() / 60;
        let whole = Window {
            after: after.map(at),
            until: at(until),
        };
        Windows::new(whole, at(oldest))
            .map(|it| (it.after.map(minutes), minutes(it.until)))
            .collect()
    }

    #[test]
    fn they_follow_each_other_from_the_oldest_to_the_end_and_leave_nothing_out() {
        type Row = (Option<i64>, i64, i64, Vec<(Option<i64>, i64)>);
        let rows: [Row; 7] = [
            (
                Some(0),
                150,
                0,
                vec![(Some(0), 60), (Some(60), 120), (Some(120), 150)],
            ),
            (Some(0), 60, 0, vec![(Some(0), 60)]),
            (Some(0), 2, 0, vec![(Some(0), 2)]),
            (None, 150, 100, vec![(None, 100), (Some(100), 150)]),
            (
                None,
                150,
                20,
                vec![
                    (None, 20),
                    (Some(20), 80),
                    (Some(80), 140),
                    (Some(140), 150),
                ],
            ),
            // The log is younger than what is scanned, or the mark lies above its end.
            (None, 150, 200, vec![(None, 150)]),
            (Some(200), 150, 0, vec![(Some(200), 150)]),
        ];
        for (after, until, oldest, expected) in rows {
            assert_eq!(windows(after, until, oldest), expected);
        }
    }

    #[test]
    fn the_end_of_time_is_a_window_too() {
        let whole = Window {
            after: Some(DateTime::<Utc>::MAX_UTC - TimeDelta::minutes(1)),
            until: DateTime::<Utc>::MAX_UTC,
        };
        assert_eq!(Windows::new(whole, at(0)).collect::<Vec<_>>(), [whole]);
    }
}
