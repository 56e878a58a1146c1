//! The claims: many seeds, each twice where it is about determinism.
//!
//! ```text
//! make simulation                 the seeds of `make test`
//! make simulation SEEDS=10000     the nightly form
//! make simulation SEED=4711       one seed again, with its whole trace
//! ```

use crate::report::Tally;
use crate::scenario::{Run, Told, run};
use crate::trace::Lines;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

pub const SEEDS: u64 = 300;
/// How long one seed may take on a busy machine before it is said to hang.
pub const HANG: Duration = Duration::from_secs(60);

/// Failpoints are the whole process's: who leaves a rule out runs alone.
static RULES: RwLock<()> = RwLock::new(());

pub fn with_every_rule() -> RwLockReadGuard<'static, ()> {
    RULES.read().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(feature = "failpoints")]
pub fn with_a_rule_left_out() -> std::sync::RwLockWriteGuard<'static, ()> {
    RULES.write().unwrap_or_else(PoisonError::into_inner)
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    (!text.is_empty()).then(|| text.parse().unwrap())
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs the seeds, several at a time, each on a thread of its own; gives each run as it ends.
pub fn run_all(
    seeds: impl Iterator<Item = u64> + Send + 'static,
    told: Told,
) -> mpsc::Receiver<Run> {
    let (ended, runs) = mpsc::channel();
    let seeds = Arc::new(Mutex::new(seeds));
    for _ in 0..threads() {
        let (ended, seeds) = (ended.clone(), Arc::clone(&seeds));
        std::thread::spawn(move || {
            loop {
                let next = seeds.lock().unwrap().next();
                let Some(seed) = next else { return };
                if ended.send(run(seed, told)).is_err() {
                    return;
                }
            }
        });
    }
    runs
}

fn tell(run: &Run) -> String {
    let mut text = format!("seed {} breaks promises:\n", run.seed);
    for wrong in run.wrongs.iter().take(20) {
        text.push_str(&format!("  {}: {}\n", wrong.invariant, wrong.what));
    }
    text.push_str(&format!("replay it: make simulation SEED={}\n", run.seed));
    text
}

#[test]
fn whatever_fails_and_whoever_dies_every_promise_is_kept() {
    let _rules = with_every_rule();
    if let Some(seed) = number_of("AXS_SIMULATION_SEED") {
        let told = Told {
            lines: Lines::Printed,
            ..Told::default()
        };
        let run = run(seed, told);
        eprintln!("{}", run.tally);
        assert!(run.wrongs.is_empty(), "{}", tell(&run));
        return;
    }
    let first = number_of("AXS_SIMULATION_FIRST").unwrap_or(0);
    let seeds = number_of("AXS_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let runs = run_all(first..first + seeds, Told::default());
    let total = Tally::default();
    let mut failed = Vec::new();
    for done in 1..=seeds {
        let run = runs.recv_timeout(HANG);
        let run = run.unwrap_or_else(|_| panic!("a seed near {} hangs or died", first + done));
        total.take_in(&run.tally);
        if !run.wrongs.is_empty() {
            eprintln!("{}", tell(&run));
            failed.push(run.seed);
        }
        if done % 500 == 0 {
            eprintln!("{done} of {seeds} seeds, {} failed", failed.len());
        }
    }
    eprintln!("what {seeds} seeds really hit:\n{total}");
    failed.sort_unstable();
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
    if seeds >= SEEDS {
        assert_eq!(total.never_hit(), [""; 0], "never hit");
    }
}

#[test]
fn a_seed_replays_exactly() {
    let _rules = with_every_rule();
    for seed in 0..8 {
        let told = Told {
            lines: Lines::Kept,
            ..Told::default()
        };
        let (first, second) = (run(seed, told), run(seed, told));
        let differing = first
            .lines
            .iter()
            .zip(&second.lines)
            .find(|(first, second)| first != second);
        assert_eq!(differing, None, "seed {seed}");
        assert_eq!(first.mark, second.mark, "seed {seed}");
    }
}
