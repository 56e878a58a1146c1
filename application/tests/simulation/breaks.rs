//! Deliberate breaks: with one rule left out, the checker must report the promise that the rule
//! keeps; and the same seeds must be clean with the rule in place.

use crate::scenario::{Told, run};
use crate::seeds::{HANG, SEEDS, run_all};
use crate::store::StoreBreaks;
use crate::weather::Rates;

/// Seeds that must find a break before the rule is said to be guarded by nothing.
const FOUND_BY: usize = 3;

/// Runs seeds until enough of them report one of the invariants.
fn is_found(what: &str, told: Told, invariants: &[&str]) -> Vec<u64> {
    let mut found = Vec::new();
    let runs = run_all(0..SEEDS, told);
    for done in 1..=SEEDS {
        let Ok(run) = runs.recv_timeout(HANG) else {
            panic!("{what}: a seed near {done} hangs or died");
        };
        let broken: Vec<_> = run
            .wrongs
            .iter()
            .filter(|wrong| invariants.contains(&wrong.invariant))
            .collect();
        if let Some(wrong) = broken.first() {
            found.push(run.seed);
            if found.len() == FOUND_BY {
                eprintln!(
                    "{what}: found by {FOUND_BY} of {done} seeds, e.g. seed {}: {} {}",
                    run.seed, wrong.invariant, wrong.what
                );
                return found;
            }
        }
    }
    panic!("{what}: {SEEDS} seeds report none of {invariants:?}; found by {found:?}");
}

fn is_clean(seeds: &[u64], told: Told) {
    let told = Told {
        breaks: StoreBreaks::default(),
        ..told
    };
    for seed in seeds {
        let run = run(*seed, told);
        assert_eq!(run.wrongs, [], "seed {seed} with the rule in place");
    }
}

/// Leaders are stopped while they write, and their successors can't read on at once.
fn zombies(rates: &mut Rates) {
    rates.stopped_in_a_batch = 0.06;
    rates.broker_outage = 0.1;
}

fn broken_store_is_found(what: &str, breaks: StoreBreaks, invariant: &str) {
    let _running = crate::seeds::with_every_rule();
    let told = Told {
        breaks,
        worse: Some(zombies),
        ..Told::default()
    };
    is_clean(&is_found(what, told, &[invariant]), told);
}

#[test]
fn a_store_that_finalises_what_is_final_is_found_by_i3() {
    let breaks = StoreBreaks {
        init_guard_left_out: true,
        ..StoreBreaks::default()
    };
    broken_store_is_found("the INIT guard left out", breaks, "I3");
}

#[test]
fn a_store_that_checks_no_token_is_found_by_i6() {
    let breaks = StoreBreaks {
        token_not_checked: true,
        ..StoreBreaks::default()
    };
    broken_store_is_found("the token not checked", breaks, "I6");
}

#[test]
fn a_store_whose_fence_is_a_plain_select_is_found_by_i6() {
    let breaks = StoreBreaks {
        fence_is_a_plain_select: true,
        ..StoreBreaks::default()
    };
    broken_store_is_found("the fence as a plain SELECT", breaks, "I6");
}

/// Rules of the application, left out by failpoints, which are the whole process's.
#[cfg(feature = "failpoints")]
mod of_the_application {
    use super::{Rates, Told, is_clean, is_found};

    fn left_out_is_found(point: &str, invariants: &[&str], worse: Option<fn(&mut Rates)>) {
        let _alone = crate::seeds::with_a_rule_left_out();
        let told = Told {
            worse,
            ..Told::default()
        };
        fail::cfg(point, "return").unwrap();
        let found = std::panic::catch_unwind(|| is_found(point, told, invariants));
        fail::remove(point);
        is_clean(&found.unwrap(), told);
    }

    /// Batches fail for what is in them while others are decided on them.
    fn failing_batches(rates: &mut Rates) {
        rates.redelivery = 0.6;
        rates.statement_refused = 0.06;
        rates.statement_millis_max = 120;
    }

    /// Rows become visible late, and nobody but the relay publishes them.
    fn late_orphans(rates: &mut Rates) {
        rates.append_late = 0.4;
        rates.kill = 0.3;
        rates.broker_outage = 0.15;
    }

    #[test]
    fn a_second_copy_that_is_decided_is_found_by_i3() {
        left_out_is_found("break.second_copy", &["I3"], None);
    }

    #[test]
    fn a_refusal_that_outlives_its_batch_is_found_by_i8() {
        left_out_is_found("break.refusal_kept", &["I8"], Some(failing_batches));
    }

    #[test]
    fn a_cache_written_before_the_commit_is_found_by_i9() {
        left_out_is_found("break.cache_before_commit", &["I9"], None);
    }

    #[test]
    fn a_relay_that_goes_by_ids_alone_is_found_by_what_it_never_publishes() {
        left_out_is_found("break.relay_cursor", &["I2", "I12"], Some(late_orphans));
    }
}
