//! The life of a change log row.

/// Where a change log row stands.
///
/// ```text
///           apply
///   INIT ───────────▶ APPLIED
///   ▲  │    reject
///   │  ├────────────▶ REJECTED
///   │  │ park            ▲
///   │  ▼                 │
///   │ PARKED ────────────┘
///   │  │      discard
///   └──┘ redrive
/// ```
///
/// Only `APPLIED` and `REJECTED` are final: a result, once given, never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogStatus {
    /// Written, not decided.
    Init,
    /// Every change took effect. Final.
    Applied,
    /// No change took effect, and the reason is recorded. Final.
    Rejected,
    /// Sound in the log but could not be decided; waits for a person.
    Parked,
}

/// What may happen to a change log row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogTransition {
    /// The leader applied the event.
    Apply,
    /// The leader refused the event.
    Reject,
    /// The leader could not decide the event.
    Park,
    /// An operator sends a parked event again, under the same log id.
    Redrive,
    /// An operator gives a parked event up.
    Discard,
}

impl LogStatus {
    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Init => 0,
            Self::Applied => 1,
            Self::Rejected => 2,
            Self::Parked => 3,
        }
    }

    /// The status of a stored number.
    #[must_use]
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::Init),
            1 => Some(Self::Applied),
            2 => Some(Self::Rejected),
            3 => Some(Self::Parked),
            _ => None,
        }
    }

    /// Whether the result can never change again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Applied | Self::Rejected)
    }

    /// The status after the transition.
    ///
    /// # Errors
    /// [`ForbiddenTransition`]: the row stays as it is.
    pub const fn after(self, transition: LogTransition) -> Result<Self, ForbiddenTransition> {
        match (self, transition) {
            (Self::Init, LogTransition::Apply) => Ok(Self::Applied),
            (Self::Init, LogTransition::Reject) | (Self::Parked, LogTransition::Discard) => {
                Ok(Self::Rejected)
            }
            (Self::Init, LogTransition::Park) => Ok(Self::Parked),
            (Self::Parked, LogTransition::Redrive) => Ok(Self::Init),
            (from, transition) => Err(ForbiddenTransition { from, transition }),
        }
    }
}

/// The row's status does not allow the transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row in status {from:?} can't {transition:?}")]
pub struct ForbiddenTransition {
    /// Where the row stands.
    pub from: LogStatus,
    /// What was to happen.
    pub transition: LogTransition,
}

#[cfg(test)]
mod tests {
    use super::LogStatus::{Applied, Init, Parked, Rejected};
    use super::LogTransition::{Apply, Discard, Park, Redrive, Reject};
    use super::*;

    #[test]
    fn the_whole_table_of_statuses_and_transitions_is_as_designed() {
        let transitions = [Apply, Reject, Park, Redrive, Discard];
        let rows = [
            (
                Init,
                [Some(Applied), Some(Rejected), Some(Parked), None, None],
            ),
            (Applied, [None; 5]),
            (Rejected, [None; 5]),
            (Parked, [None, None, None, Some(Init), Some(Rejected)]),
        ];
        for (from, afters) in rows {
            for (transition, after) in transitions.into_iter().zip(afters) {
                let expected = after.ok_or(ForbiddenTransition { from, transition });
                assert_eq!(from.after(transition), expected, "{from:?} {transition:?}");
            }
        }
    }

    #[test]
    fn stored_numbers_are_pinned_and_no_other_number_is_a_status() {
        let statuses = [Init, Applied, Rejected, Parked];
        assert_eq!(statuses.map(LogStatus::number), [0, 1, 2, 3]);
        for status in statuses {
            assert_eq!(LogStatus::from_number(status.number()), Some(status));
        }
        for number in [-1, 4, i16::MIN, i16::MAX] {
            assert_eq!(LogStatus::from_number(number), None, "{number}");
        }
    }

    #[test]
    fn final_is_exactly_what_no_transition_leaves() {
        for status in [Init, Applied, Rejected, Parked] {
            let can_leave = [Apply, Reject, Park, Redrive, Discard]
                .into_iter()
                .any(|transition| status.after(transition).is_ok());
            assert_eq!(status.is_final(), !can_leave, "{status:?}");
        }
    }
}
