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
        Self { times, confirmed_from: requested_at }
    }

    /// The lease after a confirmed renewal that was requested at `requested_at`.
    ///
    /// A confirmation that arrives late never moves the count back.
    #[must_use]
    pub fn renewed(self, requested_at: Monotonic) -> Self {
        Self { confirmed_from: self.confirmed_from.max(requested_at), ..self }
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
