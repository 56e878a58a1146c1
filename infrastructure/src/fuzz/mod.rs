//! Fuzzing of what reads bytes from outside, and of what writes them for PostgreSQL.
//!
//! | target | what is fuzzed | compared with |
//! |---|---|---|
//! | `amount` | decimal text of requests, payloads and files | a reader of its own, in big integers |
//! | `event` | payloads of log rows, envelopes of the topic | the message itself, and a second reading |
//! | `numeric` | NUMERIC on the binary wire, both ways | big integers, and a writer of its own |
//! | `staging` | batches as COPY's binary form | a reader of its own, after PostgreSQL's page on COPY |
//!
//! Each target begins with the seeds of `corpus/`: sound ones, ones at a limit, and what once
//! failed. Then it goes on with mutated seeds for a second, or for as long as
//! BOLERO_RANDOM_TEST_TIME_MS says (`make fuzz`). What fails is printed with a BOLERO_RANDOM_SEED
//! that replays it and as the line to add to the corpus. Engines that measure coverage can drive
//! the same targets (`cargo bolero test`).
//!
//! Each target can fail: a planted bug, of the kind that such code has, is found within the same
//! second.

mod amount;
mod event;
mod numeric;
mod seed;
mod staging;

use seed::Mutated;
use std::fmt::Write;
use std::time::Duration;

/// How long a target is tried in a plain test run.
const SHORT: Duration = Duration::from_secs(1);

/// Tries a target: its seeds as they are, then mutated. `check` says what is wrong with an input.
fn drive(seeds: &Mutated, check: impl Fn(&[u8]) -> Result<(), String>) {
    let check = |bytes: &[u8]| {
        if let Err(problem) = check(bytes) {
            panic!("{problem}\nfor the corpus:\n{}", hex(bytes));
        }
    };
    for seed in &seeds.seeds {
        check(seed);
    }
    let check = std::panic::AssertUnwindSafe(check);
    bolero::check!()
        .with_generator(seeds.clone())
        .with_test_time(SHORT)
        .for_each(move |bytes| check(bytes));
}

/// Whether a target finds the bug that is planted in what it checks.
fn catches(seeds: &Mutated, check: impl Fn(&[u8]) -> Result<(), String>) -> bool {
    let drive = std::panic::AssertUnwindSafe(|| drive(seeds, check));
    std::panic::catch_unwind(drive).is_err()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
