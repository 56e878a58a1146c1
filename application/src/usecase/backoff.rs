//! Pauses between tries.

use crate::usecase::jitter;
use std::time::Duration;

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Growing pauses with jitter: the pause doubles up to a bound, and each is cut by up to half, so
/// that those who failed together don't come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self::between(PAUSE_FIRST, PAUSE_MAX)
    }

    /// Pauses that begin with the first and grow no longer than the second.
    pub(crate) const fn between(first: Duration, max: Duration) -> Self {
        Self {
            next: first,
            max,
            tries: 0,
        }
    }

    /// How many pauses were made.
    pub(crate) const fn tries(&self) -> u32 {
        self.tries
    }

    /// Makes the next pause.
    pub(crate) async fn pause(&mut self) {
        let whole = self.next;
        self.next = (whole * 2).min(self.max);
        self.tries = self.tries.saturating_add(1);
        tokio::time::sleep(whole.mul_f64(jitter::share())).await;
    }
}
