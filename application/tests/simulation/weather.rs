//! How much goes wrong: each run has troubles of its own, drawn from its seed.

use rand::RngExt;
use rand::rngs::StdRng;
use std::sync::atomic::{AtomicBool, Ordering};

/// How probable each trouble is, for each call that it may strike. About half of them are absent
/// from a run: troubles hide each other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    pub slow: f64,
    pub store_refuses: f64,
    pub store_answer_lost: f64,
    pub append_late: f64,
    pub append_unreadable: f64,
    pub write_retryable: f64,
    pub commit_unknown_applied: f64,
    pub commit_unknown_lost: f64,
    pub commit_unknown_late: f64,
    pub statement_refused: f64,
    /// The writer is stopped in the middle of a batch, and goes on about when its lease has ended.
    pub stopped_in_a_batch: f64,
    /// How long each statement of a batch takes at most, in milliseconds: a slow store is what
    /// makes leaders decide ahead.
    pub statement_millis_max: u64,
    pub broker_refuses: f64,
    pub delivery_fails: f64,
    pub delivery_unplaced: f64,
    pub source_breaks: f64,
    pub cache_fails: f64,
    pub cache_late: f64,
    /// How busy the trouble-maker is: the chance, at each of its turns, of each of its deeds.
    pub kill: f64,
    pub pause: f64,
    pub drain: f64,
    pub store_outage: f64,
    pub broker_outage: f64,
    pub cache_outage: f64,
    pub cache_flush: f64,
    pub redelivery: f64,
    pub poison: f64,
}

impl Rates {
    fn drawn(chance: &mut StdRng) -> Self {
        let statement_millis_max = match chance.random_range(0..3) {
            0 => chance.random_range(10..120),
            _ => 2,
        };
        let mut up_to = |most: f64| {
            if chance.random_bool(0.45) {
                0.0
            } else {
                chance.random_range(0.0..most)
            }
        };
        Self {
            slow: up_to(0.05),
            store_refuses: up_to(0.08),
            store_answer_lost: up_to(0.08),
            append_late: up_to(0.2),
            append_unreadable: up_to(0.02),
            write_retryable: up_to(0.2),
            commit_unknown_applied: up_to(0.15),
            commit_unknown_lost: up_to(0.15),
            commit_unknown_late: up_to(0.1),
            statement_refused: up_to(0.04),
            stopped_in_a_batch: up_to(0.02),
            statement_millis_max,
            broker_refuses: up_to(0.1),
            delivery_fails: up_to(0.02),
            delivery_unplaced: up_to(0.3),
            source_breaks: up_to(0.02),
            cache_fails: up_to(0.3),
            cache_late: up_to(0.3),
            kill: up_to(0.15),
            pause: up_to(0.12),
            drain: up_to(0.08),
            store_outage: up_to(0.05),
            broker_outage: up_to(0.08),
            cache_outage: up_to(0.08),
            cache_flush: up_to(0.08),
            redelivery: up_to(0.2),
            poison: up_to(0.15),
        }
    }
}

/// The troubles of a run, until it is calm.
#[derive(Debug)]
pub struct Weather {
    rates: Rates,
    calm: AtomicBool,
}

impl Weather {
    pub fn drawn(chance: &mut StdRng, worse: Option<fn(&mut Rates)>) -> Self {
        let mut rates = Rates::drawn(chance);
        if let Some(worse) = worse {
            worse(&mut rates);
        }
        Self {
            rates,
            calm: AtomicBool::new(false),
        }
    }

    pub const fn rates(&self) -> &Rates {
        &self.rates
    }

    /// From now on nothing more goes wrong.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }
}
