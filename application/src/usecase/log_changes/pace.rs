//! When the next commit begins: what it learns from those before it. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// The longest that a commit waits for callers, however slow the one before it was.
pub(super) const GATHERING_MAX: Duration = Duration::from_millis(20);

/// So many events are worth a commit of their own: they wait neither for callers nor for the commit
/// that is under way. Fewer go cheaper in a later one, with more.
pub(super) const EVENTS_WORTH_A_COMMIT: usize = 400;

/// At least this many requests, if they are half of all callers', are worth a commit too: what one
/// half costs this process, to be taken in and answered, is done while the database writes the
/// other. Of fewer callers, a half saves less than its commit costs.
pub(super) const CALLERS_WORTH_A_COMMIT: usize = 16;

/// The rhythm of the commits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// The requests of a round, at the end of the last commit: those that it answered, those that
    /// waited and those of another commit under way.
    callers: usize,
    /// Until when the next commit waits for them.
    waits_until: Option<Instant>,
}

impl Pace {
    /// After a commit of a round of so many requests, which took so long.
    pub(super) fn after(ended: Instant, took: Duration, callers: usize) -> Self {
        // As long as the commit took: those that it answered often send again at once. Beginning
        // without them would split the callers for good into parts that take turns, in more
        // commits.
        Self {
            callers,
            waits_until: Some(ended + took.min(GATHERING_MAX)),
        }
    }

    /// Whether so much is worth a commit of its own, though another is under way or callers may
    /// still come.
    pub(super) fn is_worth_a_commit(self, requests: usize, events: usize) -> bool {
        events >= EVENTS_WORTH_A_COMMIT
            || requests >= CALLERS_WORTH_A_COMMIT.max(self.callers.div_ceil(2))
    }

    /// Until when a commit of so many requests waits for callers, in the past when it no longer
    /// does; `None` when all have come.
    pub(super) fn waits_for_others_until(self, requests: usize) -> Option<Instant> {
        self.waits_until.filter(|_| requests < self.callers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_all_came_and_lasts_no_longer_than_its_bound() {
        assert_eq!(
            Pace::default().waits_for_others_until(1),
            None,
            "nothing is known yet"
        );
        let now = Instant::now();
        let took = GATHERING_MAX / 2;
        assert_eq!(
            Pace::after(now, took, 3).waits_for_others_until(2),
            Some(now + took)
        );
        let slow = Pace::after(now, Duration::from_secs(1), 3);
        assert_eq!(slow.waits_for_others_until(2), Some(now + GATHERING_MAX));
        assert_eq!(slow.waits_for_others_until(3), None);
    }

    #[test]
    fn many_events_are_worth_a_commit_and_half_of_many_callers_are() {
        let of = |callers| Pace::after(Instant::now(), Duration::ZERO, callers);
        for (callers, requests, events, expected) in [
            (8, 1, EVENTS_WORTH_A_COMMIT, true),
            (8, 1, EVENTS_WORTH_A_COMMIT - 1, false),
            (40, 20, 20, true),
            (40, 19, 19, false),
            (8, CALLERS_WORTH_A_COMMIT, 20, true),
            (8, CALLERS_WORTH_A_COMMIT - 1, 20, false),
        ] {
            let worth = of(callers).is_worth_a_commit(requests, events);
            assert_eq!(worth, expected, "{callers} {requests} {events}");
        }
    }
}
