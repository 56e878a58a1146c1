//! The low-water mark as one term knows it. Pure.

use crate::port::relay_source::RelayHorizon;
use axs_domain::time::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// How often the stored mark is moved at most: each move takes the leader row for a moment.
pub(super) const MOVE_EVERY: Duration = Duration::from_secs(10);
/// A mark that lies less than this behind costs the next leader next to nothing.
const MOVE_BY_MIN: Duration = Duration::from_secs(5);

/// Up to where every row is final: no row written at or before it is INIT or can still come.
///
/// Known better here than in the store, which hears of it now and then. It falls back to the
/// stored mark when that was lowered from outside, and is forgotten when PostgreSQL's clock was
/// set back behind it: rows are then written below it.
#[derive(Debug, Default)]
pub(super) struct LowWater {
    at: Option<Timestamp>,
    generation: Option<i64>,
    stored: Option<Timestamp>,
    stored_at: Option<Instant>,
}

impl LowWater {
    /// Where the scan that follows the horizon begins.
    pub(super) fn begin(&mut self, horizon: &RelayHorizon) -> Option<Timestamp> {
        self.stored = horizon.low_water;
        if self.generation == Some(horizon.generation) {
            self.at = self.at.max(horizon.low_water);
        } else {
            self.at = horizon.low_water;
            self.generation = Some(horizon.generation);
        }
        self.at = self.at.filter(|at| *at <= horizon.until);
        self.at
    }

    /// Notes what the scan from there on found: the time of its first row.
    pub(super) fn pass(&mut self, horizon: &RelayHorizon, first: Option<Timestamp>) {
        let Some(settled) = horizon.settled_to else {
            return;
        };
        let before_first =
            first.map(|first| Timestamp::from_unix_micros(first.unix_micros().saturating_sub(1)));
        let passed = before_first.map_or(settled, |before| before.min(settled));
        self.at = self.at.max(Some(passed));
    }

    /// The mark, when it is time to store it.
    pub(super) fn to_store(&self, now: Instant) -> Option<Timestamp> {
        let at = self.at?;
        let Some(stored) = self.stored else {
            return Some(at);
        };
        // Lower than what is stored: the clock was set back, and no scan may begin up there.
        if at < stored {
            return Some(at);
        }
        let ahead = at.unix_micros().saturating_sub(stored.unix_micros());
        let is_much = i128::from(ahead) >= i128::try_from(MOVE_BY_MIN.as_micros()).ok()?;
        let is_time = self
            .stored_at
            .is_none_or(|stored_at| now.duration_since(stored_at) >= MOVE_EVERY);
        (is_much && is_time).then_some(at)
    }

    /// Notes that the mark is stored.
    pub(super) fn stored(&mut self, at: Timestamp, now: Instant) {
        self.stored = Some(at);
        self.stored_at = Some(now);
    }
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

    #[test]
    fn it_passes_what_is_settled_and_stays_below_the_first_row_found() {
        let mut mark = LowWater::default();
        assert_eq!(mark.begin(&horizon(None, 0, 100)), None);
        mark.pass(&horizon(None, 0, 100), Some(at(50)));
        let below = Timestamp::from_unix_micros(50 * SECOND - 1);
        assert_eq!(mark.begin(&horizon(None, 0, 110)), Some(below));
        mark.pass(&horizon(None, 0, 110), None);
        assert_eq!(mark.begin(&horizon(None, 0, 120)), Some(at(110)));
    }

    #[test]
    fn it_waits_below_a_transaction_that_is_open_or_hidden() {
        let mut mark = LowWater::default();
        let open = RelayHorizon {
            settled_to: Some(at(30)),
            ..horizon(Some(20), 0, 100)
        };
        assert_eq!(mark.begin(&open), Some(at(20)));
        mark.pass(&open, None);
        assert_eq!(mark.begin(&open), Some(at(30)));
        let hidden = RelayHorizon {
            settled_to: None,
            ..open
        };
        mark.pass(&hidden, None);
        assert_eq!(mark.begin(&hidden), Some(at(30)));
    }

    #[test]
    fn it_falls_back_to_what_is_stored_when_that_was_lowered_and_to_it_alone() {
        let mut mark = LowWater::default();
        mark.begin(&horizon(Some(50), 3, 100));
        mark.pass(&horizon(Some(50), 3, 100), None);
        assert_eq!(mark.begin(&horizon(Some(50), 3, 110)), Some(at(100)));
        // Lowered to where it stood: only the generation tells.
        assert_eq!(mark.begin(&horizon(Some(50), 4, 110)), Some(at(50)));
        assert_eq!(mark.begin(&horizon(Some(10), 5, 110)), Some(at(10)));
        assert_eq!(mark.begin(&horizon(None, 6, 110)), None);
    }

    #[test]
    fn it_is_forgotten_when_the_clock_was_set_back_behind_it() {
        let mut mark = LowWater::default();
        mark.begin(&horizon(Some(50), 0, 100));
        mark.pass(&horizon(Some(50), 0, 100), None);
        let back = horizon(Some(50), 0, 40);
        assert_eq!(mark.begin(&back), None);
        mark.pass(&back, None);
        assert_eq!(mark.to_store(Instant::now()), Some(at(40)), "at once");
    }

    #[test]
    fn it_is_stored_when_it_moved_much_and_not_too_often() {
        let start = Instant::now();
        let mut mark = LowWater::default();
        mark.begin(&horizon(None, 0, 100));
        assert_eq!(mark.to_store(start), None, "nothing is known");
        mark.pass(&horizon(None, 0, 100), None);
        assert_eq!(mark.to_store(start), Some(at(100)), "the first one");
        mark.stored(at(100), start);
        for (until, later, expected) in [
            (104, MOVE_EVERY, None),
            (120, MOVE_EVERY / 2, None),
            (120, MOVE_EVERY, Some(at(120))),
        ] {
            mark.begin(&horizon(Some(100), 0, until));
            mark.pass(&horizon(Some(100), 0, until), None);
            assert_eq!(mark.to_store(start + later), expected, "{until} {later:?}");
        }
    }
}
