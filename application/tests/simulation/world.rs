//! What every part of one simulated run shares: virtual time, chance, trouble, trace and findings.

use crate::report::Tally;
use crate::scenario::Told;
use crate::trace::Trace;
use crate::weather::Weather;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The moment of PostgreSQL's clock at which every run begins, in microseconds.
const EPOCH_MICROS: i64 = 1_700_000_000_000_000;

/// What was found wrong, and against which promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The invariant, e.g. `I3`.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

/// One run.
pub struct World {
    chance: Mutex<StdRng>,
    began: Instant,
    pub weather: Weather,
    pub trace: Trace,
    pub tally: Tally,
    wrongs: Mutex<Vec<Wrong>>,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A world whose every accident follows from the seed.
    pub fn new(seed: u64, told: &Told) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let weather = Weather::drawn(&mut chance, told.worse);
        Self {
            chance: Mutex::new(chance),
            began: Instant::now(),
            weather,
            trace: Trace::new(told.lines),
            tally: Tally::default(),
            wrongs: Mutex::default(),
        }
    }

    /// Virtual time since the run began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// PostgreSQL's clock, in microseconds.
    pub fn store_micros(&self) -> i64 {
        EPOCH_MICROS + i64::try_from(self.elapsed().as_micros()).unwrap()
    }

    /// Whether something with this probability happens now.
    pub fn happens(&self, probability: f64) -> bool {
        probability > 0.0 && lock(&self.chance).random_bool(probability)
    }

    /// The same, for trouble only: never once the weather is calm.
    pub fn strikes(&self, probability: f64) -> bool {
        !self.weather.is_calm() && self.happens(probability)
    }

    /// A number of the range.
    pub fn pick(&self, range: Range<u64>) -> u64 {
        lock(&self.chance).random_range(range)
    }

    /// A place of a list with so many entries.
    pub fn pick_place(&self, len: usize) -> usize {
        lock(&self.chance).random_range(0..len)
    }

    /// A whole number of the range.
    pub fn pick_signed(&self, range: Range<i64>) -> i64 {
        lock(&self.chance).random_range(range)
    }

    /// A number of milliseconds of the range.
    pub fn millis(&self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.pick(range))
    }

    /// The way to a server or back: mostly short, sometimes not.
    pub async fn travel(&self) {
        let pause = if self.strikes(self.weather.rates().slow) {
            self.tally.count("slow answers");
            self.millis(50..1_500)
        } else {
            Duration::from_micros(self.pick(100..3_000))
        };
        tokio::time::sleep(pause).await;
    }

    /// Notes a line of the trace, in front of which come time and name.
    pub fn note(&self, who: &str, what: &str) {
        let micros = self.elapsed().as_micros();
        self.trace.note(&format!("{micros} {who} {what}"));
    }

    /// Notes something that must not be.
    pub fn wrong(&self, invariant: &'static str, what: String) {
        self.note("!!", &format!("{invariant} {what}"));
        lock(&self.wrongs).push(Wrong { invariant, what });
    }

    /// What was found wrong so far.
    pub fn wrongs(&self) -> Vec<Wrong> {
        lock(&self.wrongs).clone()
    }
}
