//! Pauses between tries.

use rand::RngExt;
use std::time::Duration;

/// The pause after the first failure.
const PAUSE_FIRST: Duration = Duration::from_millis(20);

/// The longest pause that the client makes of its own accord.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How much longer than asked a client waits at most, as a share: those who were turned away
/// together must not come back together, nor before their time.
const DELAY_JITTER: f64 = 0.25;

/// A share of jitter. Events that failed together share one, so that they come back together, and
/// apart from those of other clients.
pub(crate) fn chance() -> f64 {
    rand::rng().random_range(0.0..1.0)
}

/// The pause after so many failures in a row, 1 or more: it doubles up to a bound, and is cut by
/// up to half.
pub(crate) fn pause_after(failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_MAX);
    whole.mul_f64(0.5 + 0.5 * chance)
}

/// The delay that the server asked for, and a little more.
pub(crate) fn at_least(delay: Duration, chance: f64) -> Duration {
    delay.mul_f64(DELAY_JITTER.mul_add(chance, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_their_bound_and_a_delay_is_never_cut() {
        let delay = Duration::from_millis(500);
        for chance in [0.0, 0.5, 1.0] {
            for failures in [1, 2, 5, 40, u32::MAX] {
                let pause = pause_after(failures, chance);
                assert!(pause >= PAUSE_FIRST / 2 && pause <= PAUSE_MAX, "{pause:?}");
            }
            assert!(pause_after(1, chance) <= PAUSE_FIRST);
            assert!(pause_after(40, chance) >= PAUSE_MAX / 2);
            assert!(at_least(delay, chance) >= delay);
        }
    }
}
