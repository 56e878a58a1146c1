//! The lease of a partition, as its holder judges it: pure, with time as argument.
//!
//! The lease's end is decided by PostgreSQL's clock. The holder can't read that clock while it
//! is cut off, so it counts on its own monotonic clock from *before* the request that was
//! confirmed: its own count always ends first.

use crate::time::Monotonic;
use std::time::Duration;

/// The three times of a lease, in the fixed ratio 1 : ⅓ : ⅔.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    ttl: Duration,
}

impl LeaseTimes {
    /// The shortest lease: below it a heartbeat can't be told from a blink of the network.
    pub const TTL_MIN: Duration = Duration::from_millis(300);
    /// The longest lease: beyond it a dead leader is missed for too long.
    pub const TTL_MAX: Duration = Duration::from_secs(300);

    /// Times of a lease of this length.
    ///
    /// # Errors
    /// [`LeaseTtlError`] outside [`Self::TTL_MIN`] to [`Self::TTL_MAX`].
    pub fn try_new(ttl: Duration) -> Result<Self, LeaseTtlError> {
        if (Self::TTL_MIN..=Self::TTL_MAX).contains(&ttl) {
            Ok(Self { ttl })
        } else {
            Err(LeaseTtlError { ttl })
        }
    }

    /// How long PostgreSQL holds the lease after a heartbeat.
    #[must_use]
    pub const fn ttl(self) -> Duration {
        self.ttl
    }

    /// How often to renew: a third.
    #[must_use]
    pub fn heartbeat_every(self) -> Duration {
        self.ttl / 3
    }

    /// How long after the last confirmed renewal to stop on one's own: two thirds.
    #[must_use]
    pub fn step_down_after(self) -> Duration {
        self.ttl * 2 / 3
    }
}

/// A lease length out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a lease of {ttl:?} is outside 300 ms to 300 s")]
pub struct LeaseTtlError {
    /// The length asked for.
    pub ttl: Duration,
}

/// A lease that this process holds, and since when it is sure of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLease {
    times: LeaseTimes,
    confirmed_from: Monotonic,
}

impl HeldLease {
    /// A lease just granted; `requested_at` is the time *before* the request was sent.
    #[must_use]
    pub const fn granted(times: LeaseTimes, requested_at: Monotonic) -> Self {
        Self {
            times,
            confirmed_from: requested_at,
        }
    }

    /// The lease after a confirmed renewal that was requested at `requested_at`.
    ///
    /// A confirmation that arrives late never moves the count back.
    #[must_use]
    pub fn renewed(self, requested_at: Monotonic) -> Self {
        Self {
            confirmed_from: self.confirmed_from.max(requested_at),
            ..self
        }
    }

    /// Whether the holder may still begin a write.
    #[must_use]
    pub fn is_sure_at(self, now: Monotonic) -> bool {
        now.since(self.confirmed_from) < self.times.step_down_after()
    }

    /// When the holder must stop unless it is renewed before.
    #[must_use]
    pub fn step_down_at(self) -> Monotonic {
        self.confirmed_from.plus(self.times.step_down_after())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn at(value: u64) -> Monotonic {
        Monotonic::from_start(millis(value))
    }

    fn times(ttl: u64) -> LeaseTimes {
        LeaseTimes::try_new(millis(ttl)).unwrap()
    }

    #[test]
    fn a_lease_of_nine_seconds_beats_every_three_and_steps_down_at_six() {
        let times = times(9_000);
        assert_eq!(times.ttl(), millis(9_000));
        assert_eq!(times.heartbeat_every(), millis(3_000));
        assert_eq!(times.step_down_after(), millis(6_000));
    }

    #[test]
    fn lengths_outside_the_bounds_are_refused() {
        let nanosecond = Duration::from_nanos(1);
        let rows = [
            (Duration::ZERO, false),
            (LeaseTimes::TTL_MIN - nanosecond, false),
            (LeaseTimes::TTL_MIN, true),
            (LeaseTimes::TTL_MAX, true),
            (LeaseTimes::TTL_MAX + nanosecond, false),
            (Duration::MAX, false),
        ];
        for (ttl, accepted) in rows {
            let expected = if accepted {
                Ok(ttl)
            } else {
                Err(LeaseTtlError { ttl })
            };
            assert_eq!(LeaseTimes::try_new(ttl).map(LeaseTimes::ttl), expected);
        }
    }

    #[test]
    fn the_holder_is_sure_up_to_two_thirds_and_not_at_them() {
        let lease = HeldLease::granted(times(9_000), at(1_000));
        assert_eq!(lease.step_down_at(), at(7_000));
        assert!(lease.is_sure_at(at(1_000)));
        assert!(lease.is_sure_at(at(6_999)));
        assert!(!lease.is_sure_at(at(7_000)));
        assert!(!lease.is_sure_at(Monotonic::from_start(Duration::MAX)));
    }

    #[test]
    fn a_confirmation_that_arrives_late_never_moves_the_count_back() {
        let lease = HeldLease::granted(times(9_000), at(5_000));
        assert_eq!(lease.renewed(at(2_000)), lease);
        assert_eq!(lease.renewed(at(6_000)).step_down_at(), at(12_000));
    }

    proptest! {
        /// The server starts its TTL when the request arrives, so no earlier than it was sent.
        #[test]
        fn the_holders_certainty_ends_before_the_servers_lease_does(
            ttl in 300u64..300_000,
            renewals in proptest::collection::vec((0u64..10_000, 0u64..20_000), 1..10),
            probe in 0u64..2_000_000,
        ) {
            let mut clock = 0;
            let mut lease: Option<HeldLease> = None;
            let mut server_lease_ends = Duration::ZERO;
            for (pause, delay_to_server) in renewals {
                clock += pause;
                server_lease_ends = server_lease_ends.max(millis(clock + delay_to_server + ttl));
                lease = Some(match lease {
                    None => HeldLease::granted(times(ttl), at(clock)),
                    Some(held) => held.renewed(at(clock)),
                });
            }
            let lease = lease.unwrap();
            prop_assert!(lease.step_down_at() < Monotonic::from_start(server_lease_ends));
            if millis(probe) >= server_lease_ends {
                prop_assert!(!lease.is_sure_at(at(probe)));
            }
            // Two beats fit before the holder gives up: one lost beat is no lost lease.
            prop_assert!(times(ttl).heartbeat_every() * 2 <= times(ttl).step_down_after());
        }
    }
}
