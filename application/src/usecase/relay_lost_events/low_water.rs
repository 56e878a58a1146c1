//! The low-water mark as one term knows it. Pure.

use crate::port::relay_source::RelayHorizon;
use axs_domain::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// How often the stored mark is moved forward at most: each move takes the leader row for a moment.
pub(super) const MOVE_EVERY: Duration = Duration::from_secs(10);
/// A mark that lies less than this behind costs the next leader next to nothing.
const MOVE_BY_MIN: Duration = Duration::from_secs(5);

/// A term begins its first scan by this much below the stored mark. PostgreSQL's clock may have
/// been set back since it was stored, in a failover too; rows logged since then lie below the mark
/// by no more than the time that passed. So no row is missed where no more than this passes between
/// the last look of one term and the first of the next, or where the clock is set back by at most
/// this much less [`MOVE_BY_MIN`]. It costs each term one scan of what was logged in this time.
/// What counts undecided events for a change of the layout goes as far below (`lowest_mark.sql`).
pub(super) const TERM_MARGIN: Duration = Duration::from_mins(2);

/// Up to where every row is final: no row written at or before it is INIT or can still come.
///
/// Known better here than in the store, which hears of it now and then. It falls back when the
/// stored mark was lowered from outside, and when PostgreSQL's clock was set back: what was logged
/// since the last look bears times no earlier than the clock of now less the time that passed.
#[derive(Debug, Default)]
pub(super) struct LowWater {
    at: Option<Timestamp>,
    last: Option<Look>,
    stored: Option<Timestamp>,
    stored_at: Option<Instant>,
    /// Since it was stored it was lowered, by a clock that was set back or by what the looks took.
    was_lowered: bool,
}

/// What the store is to be told of the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToStore {
    /// It stands here.
    Mark(Timestamp),
    /// There is none: the stored one lies above the clock, and how far below it rows were logged
    /// since is not known. Whoever leads next scans everything too, until one scan has come to its
    /// end.
    NoMark,
}

impl ToStore {
    pub(super) const fn mark(self) -> Option<Timestamp> {
        match self {
            Self::Mark(at) => Some(at),
            Self::NoMark => None,
        }
    }
}

/// The horizon that was looked at last.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Before the question: PostgreSQL's clock was read later.
    asked_at: Instant,
    generation: i64,
}

impl LowWater {
    /// Where the scan that follows the horizon begins. The horizon was asked for at `asked_at`, and
    /// it was answered at `answered_at`.
    pub(super) fn begin(
        &mut self,
        horizon: &RelayHorizon,
        asked_at: Instant,
        answered_at: Instant,
    ) -> Option<Timestamp> {
        // A move whose answer was lost may have come after the last one.
        self.was_lowered |= self.stored.is_some() && horizon.low_water > self.stored;
        self.stored = horizon.low_water;
        let now = Look {
            asked_at,
            generation: horizon.generation,
        };
        self.at = match self.last.replace(now) {
            None => {
                let (until, stored) = (horizon.until, horizon.low_water);
                self.was_lowered = stored.is_some_and(|stored| stored > until);
                stored
                    .filter(|stored| *stored <= until)
                    .map(|stored| earlier(stored, TERM_MARGIN))
            }
            Some(last) => {
                let before = if last.generation == horizon.generation {
                    self.at
                } else {
                    self.at.zip(horizon.low_water).map(|(at, low)| at.min(low))
                };
                let passed = answered_at.saturating_duration_since(last.asked_at);
                let at_most = earlier(horizon.until, passed);
                self.was_lowered |= before.is_some_and(|at| at > at_most);
                before.map(|at| at.min(at_most))
            }
        };
        self.at
    }

    /// Notes what a page that begins there found: the time of its first row. Without any, nothing
    /// is INIT up to `read_to`.
    pub(super) fn pass(
        &mut self,
        horizon: &RelayHorizon,
        read_to: Timestamp,
        first: Option<Timestamp>,
    ) {
        let Some(settled) = horizon.settled_to else {
            return;
        };
        let settled = settled.min(read_to);
        let before_first = first.map(|first| earlier(first, Duration::from_micros(1)));
        let passed = before_first.map_or(settled, |before| before.min(settled));
        self.at = self.at.max(Some(passed));
    }

    /// What to store before anything else, since no term must begin by the stored mark.
    pub(super) fn to_lower(&self) -> Option<ToStore> {
        let too_high = earlier(self.stored?, MOVE_BY_MIN);
        match self.at {
            _ if !self.was_lowered => None,
            None => Some(ToStore::NoMark),
            Some(at) => (at < too_high).then_some(ToStore::Mark(at)),
        }
    }

    /// What to store, when it is time to.
    pub(super) fn to_store(&self, now: Instant) -> Option<ToStore> {
        if let Some(lowered) = self.to_lower() {
            return Some(lowered);
        }
        let at = self.at?;
        let Some(stored) = self.stored else {
            return Some(ToStore::Mark(at));
        };
        let ahead = at.unix_micros().saturating_sub(stored.unix_micros());
        let is_much = i128::from(ahead) >= i128::try_from(MOVE_BY_MIN.as_micros()).ok()?;
        let is_time = self
            .stored_at
            .is_none_or(|stored_at| now.duration_since(stored_at) >= MOVE_EVERY);
        (is_much && is_time).then_some(ToStore::Mark(at))
    }

    /// Notes that the store was told.
    pub(super) fn stored(&mut self, what: ToStore, now: Instant) {
        self.stored = what.mark();
        self.stored_at = Some(now);
        self.was_lowered = false;
    }
}

fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_unix_micros(at.unix_micros().saturating_sub(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * SECOND)
    }

    fn horizon(low_water: Option<i64>, generation: i64, until: i64) -> RelayHorizon {
        RelayHorizon {
            low_water: low_water.map(at),
            generation,
            until: at(until),
            settled_to: Some(at(until)),
        }
    }

    /// A term whose looks take no time of their own.
    struct Term {
        mark: LowWater,
        now: Instant,
    }

    impl Term {
        fn new() -> Self {
            Self {
                mark: LowWater::default(),
                now: Instant::now(),
            }
        }

        /// Looks after so many seconds.
        fn look(&mut self, seconds_later: u64, horizon: &RelayHorizon) -> Option<Timestamp> {
            self.now += Duration::from_secs(seconds_later);
            self.mark.begin(horizon, self.now, self.now)
        }

        /// A scan that read all that there was.
        fn pass(&mut self, horizon: &RelayHorizon, first: Option<Timestamp>) {
            self.mark.pass(horizon, horizon.until, first);
        }

        fn to_store(&self) -> Option<ToStore> {
            self.mark.to_store(self.now)
        }

        fn store(&mut self, what: ToStore) {
            self.mark.stored(what, self.now);
        }
    }

    const MARGIN: i64 = 120;

    fn mark(seconds: i64) -> ToStore {
        ToStore::Mark(at(seconds))
    }

    #[test]
    fn it_passes_what_is_settled_and_stays_below_the_first_row_found() {
        let mut term = Term::new();
        assert_eq!(term.look(0, &horizon(None, 0, 100)), None);
        term.pass(&horizon(None, 0, 100), Some(at(50)));
        let below = Timestamp::from_unix_micros(50 * SECOND - 1);
        assert_eq!(term.look(10, &horizon(None, 0, 110)), Some(below));
        term.pass(&horizon(None, 0, 110), None);
        assert_eq!(term.look(10, &horizon(None, 0, 120)), Some(at(110)));
    }

    /// What is left of a long scan when a term ends is not read again.
    #[test]
    fn it_passes_each_part_of_a_long_scan_that_was_read() {
        let mut term = Term::new();
        let until = horizon(None, 0, 1_000);
        term.look(0, &until);
        for read_to in [400, 800] {
            term.mark.pass(&until, at(read_to), None);
            assert_eq!(term.mark.at, Some(at(read_to)));
            assert_eq!(term.to_store(), Some(mark(read_to)));
        }
        term.mark.pass(&until, at(1_000), Some(at(900)));
        let below = Timestamp::from_unix_micros(900 * SECOND - 1);
        assert_eq!(term.mark.at, Some(below));
    }

    #[test]
    fn a_term_begins_below_the_stored_mark() {
        let mut term = Term::new();
        let stored = horizon(Some(1_000), 0, 1_100);
        assert_eq!(term.look(0, &stored), Some(at(1_000 - MARGIN)));
        assert_eq!(
            term.to_store(),
            None,
            "the next one would begin there by itself"
        );
        term.pass(&stored, None);
        assert_eq!(
            term.look(10, &horizon(Some(1_000), 0, 1_110)),
            Some(at(1_100))
        );
    }

    #[test]
    fn it_waits_below_a_transaction_that_is_open_or_hidden() {
        let mut term = Term::new();
        let open = RelayHorizon {
            settled_to: Some(at(1_030)),
            ..horizon(Some(1_020), 0, 1_100)
        };
        assert_eq!(term.look(0, &open), Some(at(1_020 - MARGIN)));
        term.pass(&open, None);
        assert_eq!(term.look(0, &open), Some(at(1_030)));
        let hidden = RelayHorizon {
            settled_to: None,
            ..open
        };
        term.pass(&hidden, None);
        assert_eq!(term.look(0, &hidden), Some(at(1_030)));
    }

    #[test]
    fn it_falls_back_to_what_is_stored_when_that_was_lowered_and_to_it_alone() {
        let mut term = Term::new();
        term.look(0, &horizon(Some(50), 3, 100));
        term.pass(&horizon(Some(50), 3, 100), None);
        assert_eq!(term.look(10, &horizon(Some(50), 3, 110)), Some(at(100)));
        // Lowered to where it stood: only the generation tells.
        assert_eq!(term.look(0, &horizon(Some(50), 4, 110)), Some(at(50)));
        assert_eq!(term.look(0, &horizon(Some(10), 5, 110)), Some(at(10)));
        assert_eq!(term.look(0, &horizon(None, 6, 110)), None);
    }

    #[test]
    fn it_falls_back_by_what_the_clock_was_set_back_and_no_further() {
        let mut term = Term::new();
        term.look(0, &horizon(Some(4_000), 0, 5_000));
        term.pass(&horizon(Some(4_000), 0, 5_000), None);
        // 30 s passed, and the clock is 50 s behind: it was set back by 80 s.
        let back = horizon(Some(4_000), 0, 4_950);
        assert_eq!(term.look(30, &back), Some(at(4_920)));
        // What lies between is passed again by what is found there, and not by what is stored.
        term.pass(&back, Some(at(4_930)));
        let below = Timestamp::from_unix_micros(4_930 * SECOND - 1);
        assert_eq!(term.look(10, &horizon(Some(5_000), 0, 4_960)), Some(below));
        assert_eq!(
            term.look(0, &horizon(Some(5_000), 1, 4_960)),
            Some(below),
            "nor by a lowered one"
        );
    }

    /// The clock may go back again while the partition has no leader, and then the margin is for
    /// that.
    #[test]
    fn what_the_clock_was_set_back_by_is_stored_at_once() {
        let mut term = Term::new();
        term.look(0, &horizon(Some(4_900), 0, 5_000));
        term.pass(&horizon(Some(4_900), 0, 5_000), None);
        term.store(mark(5_000));
        let back = horizon(Some(5_000), 0, 4_990);
        term.look(0, &back);
        assert_eq!(term.mark.to_lower(), Some(mark(4_990)), "before any scan");
        term.pass(&back, None);
        assert_eq!(term.to_store(), Some(mark(4_990)));
        term.store(mark(4_990));
        assert_eq!(term.to_store(), None);
        // The answer to a move from before was lost, and it came after all.
        term.look(0, &horizon(Some(5_000), 0, 4_990));
        assert_eq!(term.mark.to_lower(), Some(mark(4_990)));
    }

    #[test]
    fn time_that_a_look_takes_counts_as_passed() {
        let mut mark = LowWater::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        mark.begin(&horizon(None, 0, 100), after(0), after(5));
        let seen = horizon(None, 0, 100);
        mark.pass(&seen, seen.until, None);
        // The clock was read at any moment of either look: as many as 20 s lie between.
        let second = mark.begin(&horizon(None, 0, 110), after(10), after(20));
        assert_eq!(second, Some(at(90)));
    }

    #[test]
    fn a_mark_that_the_clock_has_not_reached_counts_for_nothing() {
        let mut term = Term::new();
        let back = horizon(Some(5_000), 0, 4_000);
        assert_eq!(term.look(0, &back), None);
        term.pass(&back, None);
        assert_eq!(term.to_store(), Some(mark(4_000)), "at once");
    }

    /// The scan of everything may not end before the term does, and the clock may have passed the
    /// mark by the time of the next.
    #[test]
    fn a_mark_that_the_clock_has_not_reached_is_forgotten_before_any_scan() {
        let mut term = Term::new();
        let back = horizon(Some(5_000), 0, 4_000);
        term.look(0, &back);
        assert_eq!(term.mark.to_lower(), Some(ToStore::NoMark));
        // It was not stored, nor did the scan end.
        term.look(10, &horizon(Some(5_000), 0, 4_010));
        assert_eq!(term.mark.to_lower(), Some(ToStore::NoMark));
        term.store(ToStore::NoMark);
        assert_eq!((term.mark.to_lower(), term.to_store()), (None, None));
        let forgotten = horizon(None, 0, 4_020);
        assert_eq!(term.look(10, &forgotten), None, "everything again");
        term.pass(&forgotten, None);
        assert_eq!(term.to_store(), Some(mark(4_020)), "at once");
    }

    #[test]
    fn it_is_stored_when_it_moved_much_and_not_too_often() {
        let mut term = Term::new();
        let start = term.now;
        term.look(0, &horizon(None, 0, 100));
        assert_eq!(term.to_store(), None, "nothing is known");
        term.pass(&horizon(None, 0, 100), None);
        assert_eq!(term.to_store(), Some(mark(100)), "the first one");
        term.store(mark(100));
        for (until, later, expected) in [
            (104, MOVE_EVERY, None),
            (120, MOVE_EVERY / 2, None),
            (120, MOVE_EVERY, Some(mark(120))),
        ] {
            term.look(0, &horizon(Some(100), 0, until));
            term.pass(&horizon(Some(100), 0, until), None);
            let stored = term.mark.to_store(start + later);
            assert_eq!(stored, expected, "{until} {later:?}");
        }
    }
}
