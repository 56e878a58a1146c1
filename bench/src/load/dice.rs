//! Chance that costs a few instructions and repeats for a seed.

/// SplitMix64: good enough to draw accounts and keys, and fast.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same way for the same seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A place in a list of so many; 0 for none.
    pub fn place(&mut self, length: usize) -> usize {
        let product = u128::from(self.number()) * u128::try_from(length).unwrap_or_default();
        usize::try_from(product >> 64).unwrap_or_default()
    }

    /// A number from 0 up to 1, which it never is.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    pub fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn places_are_spread_over_the_whole_list() {
        let mut dice = Dice::new(1);
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            seen[dice.place(10)] += 1;
        }
        assert!(
            seen.iter().all(|count| (800..1_200).contains(count)),
            "{seen:?}"
        );
        assert_eq!(dice.place(0), 0);
    }

    #[test]
    fn fractions_stay_below_one() {
        let mut dice = Dice::new(7);
        assert!((0..10_000).all(|_| (0.0..1.0).contains(&dice.fraction())));
    }
}
