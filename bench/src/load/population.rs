//! Which account the next event is for.

use super::dice::Dice;
use std::sync::Arc;

/// How much of the load the hot account gets.
const HOT_SHARE: f64 = 0.9;

/// The exponent of Zipf's law: the second account gets half as much as the first, and so on.
const ZIPF_EXPONENT: f64 = 1.0;

/// How events are spread over accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Population {
    /// All accounts alike.
    Uniform,
    /// A few have most.
    Zipf,
    /// Nine in ten go to the first account.
    Hot,
    /// Every account once, in order, then again from the first.
    InOrder,
}

/// Accounts and how they are drawn.
#[derive(Debug, Clone)]
pub struct Accounts {
    ids: Arc<[i64]>,
    population: Population,
    /// Zipf's sums of shares, up to 1; empty for the others.
    sums: Arc<[f64]>,
    next: usize,
}

impl Accounts {
    /// Draws from these accounts, of which there must be one at least.
    pub fn new(ids: impl Into<Arc<[i64]>>, population: Population) -> Self {
        let ids = ids.into();
        let sums: Arc<[f64]> = match population {
            Population::Zipf => zipf(ids.len()).into(),
            Population::Uniform | Population::Hot | Population::InOrder => Arc::default(),
        };
        Self {
            ids,
            population,
            sums,
            next: 0,
        }
    }

    /// The next event's account.
    pub fn draw(&mut self, dice: &mut Dice) -> i64 {
        let place = match self.population {
            Population::Uniform => dice.place(self.ids.len()),
            Population::Zipf => {
                let point = dice.fraction();
                self.sums.partition_point(|sum| *sum <= point)
            }
            Population::Hot if dice.fraction() < HOT_SHARE => 0,
            Population::Hot => dice.place(self.ids.len()),
            Population::InOrder => {
                let place = self.next;
                self.next = (self.next + 1) % self.ids.len().max(1);
                place
            }
        };
        self.ids
            .get(place)
            .or_else(|| self.ids.last())
            .copied()
            .unwrap_or_default()
    }
}

fn zipf(count: usize) -> Vec<f64> {
    let share = |rank: usize| {
        f64::from(u32::try_from(rank).unwrap_or(u32::MAX))
            .powf(ZIPF_EXPONENT)
            .recip()
    };
    let whole: f64 = (1..=count).map(share).sum();
    (1..=count)
        .scan(0.0, |sum, rank| {
            *sum += share(rank) / whole;
            Some(*sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Accounts, Population};
    use crate::load::dice::Dice;

    fn share_of_first(population: Population) -> f64 {
        let mut accounts = Accounts::new((1..=1_000).collect::<Vec<i64>>(), population);
        let mut dice = Dice::new(3);
        let first = (0..20_000).filter(|_| accounts.draw(&mut dice) == 1);
        f64::from(u32::try_from(first.count()).unwrap_or_default()) / 20_000.0
    }

    #[test]
    fn the_hot_account_gets_nine_in_ten() {
        assert!((share_of_first(Population::Hot) - 0.9).abs() < 0.02);
    }

    #[test]
    fn zipfs_first_of_a_thousand_gets_an_eighth_and_uniform_gives_all_alike() {
        assert!((share_of_first(Population::Zipf) - 0.1336).abs() < 0.02);
        assert!(share_of_first(Population::Uniform) < 0.01);
    }

    #[test]
    fn in_order_means_each_once() {
        let mut accounts = Accounts::new(vec![4, 5, 6], Population::InOrder);
        let mut dice = Dice::new(3);
        let drawn: Vec<i64> = (0..4).map(|_| accounts.draw(&mut dice)).collect();
        assert_eq!(drawn, [4, 5, 6, 4]);
    }
}
