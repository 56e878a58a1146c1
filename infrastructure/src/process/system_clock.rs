//! The operating system's monotonic clock.

use axs_application::port::clock::Clock;
use axs_domain::time::Monotonic;
use shaku::Component;
use std::time::Instant;

/// The time since this value was made.
///
/// A host that sleeps may stop this clock. A leader that wakes up then believes in a lease that
/// has passed, which the fencing token makes harmless.
#[derive(Component)]
#[shaku(interface = Clock)]
pub struct SystemClock {
    /// Where the clock starts; now by default.
    #[shaku(default = Instant::now())]
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn monotonic(&self) -> Monotonic {
        Monotonic::from_start(self.start.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_clock_never_steps_back() {
        let clock = SystemClock::new();
        let readings: Vec<Monotonic> = (0..1_000).map(|_| clock.monotonic()).collect();
        assert!(readings.is_sorted());
        let last = readings[readings.len() - 1];
        while clock.monotonic().since(last) == Duration::ZERO {}
    }
}
