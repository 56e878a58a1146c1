//! Chance in pauses: those who failed together must not come back together.

use rand::RngExt;

/// How much of a pause is kept: from half of it to all.
pub(crate) fn share() -> f64 {
    #[cfg(any(test, feature = "testkit"))]
    if let Some(share) = seeded::share() {
        return share;
    }
    rand::rng().random_range(0.5..=1.0)
}

/// Chance that repeats itself, for simulations.
#[cfg(any(test, feature = "testkit"))]
pub(crate) mod seeded {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    use std::cell::RefCell;

    thread_local! {
        static CHANCE: RefCell<Option<StdRng>> = const { RefCell::new(None) };
    }

    /// From now on every share on this thread follows from the seed.
    pub(crate) fn seed(seed: u64) {
        CHANCE.with_borrow_mut(|chance| *chance = Some(StdRng::seed_from_u64(seed)));
    }

    pub(super) fn share() -> Option<f64> {
        CHANCE.with_borrow_mut(|chance| Some(chance.as_mut()?.random_range(0.5..=1.0)))
    }
}
