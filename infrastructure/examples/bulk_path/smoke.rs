//! Whether the bulk path is about as fast as it was, beside the reference form in the same run: a
//! ratio means the same on every machine, a time does not.

use crate::measured_form::{Failure, MeasuredForm};
use crate::workload::{self, Workload};
use crate::{TCP_URL, medians, variable};
use axs_infrastructure::postgres::batch::BatchWriterSettings;

/// Batch size, and how many times as fast as the reference ours was: a debug build, TCP with
/// `TCP_NODELAY`, 2 cores, PostgreSQL 15, 2026-11-22; a little below the lowest of three runs
/// (1.53, 1.23).
const RATIOS: [(usize, f64); 2] = [(200, 1.4), (1_000, 1.2)];

/// What may be lost of a ratio: ours then takes half as long again as when it was taken.
const LOSS_MAX: f64 = 1.0 / 3.0;

/// Pairs measured of each size.
const ROUNDS: usize = 15;

/// Tries of each size. Other programs can spoil one; a loss is there in all of them.
const TRIES: usize = 3;

/// Measures until a try is good enough, size by size.
///
/// # Errors
/// A ratio is too low in every try, or something can't be measured.
pub async fn check(database: &str) -> Result<(), Failure> {
    let address = workload::address_in(&variable(TCP_URL)?, database)?;
    let mut workload = Workload::prepare(&address).await?;
    let settings = BatchWriterSettings::default();
    let forms = [
        MeasuredForm::reference("reference", &address, settings)?,
        MeasuredForm::ours("ours", &address, settings)?,
    ];
    for (events, was) in RATIOS {
        let least = was * (1.0 - LOSS_MAX);
        let mut best = 0.0_f64;
        for _ in 0..TRIES {
            let medians = medians(&forms, &mut workload, events, ROUNDS).await?;
            let ratio = medians[0] / medians[1];
            println!("{events} events: {ratio:.2} times as fast as the reference; was {was:.2}");
            best = best.max(ratio);
            if best >= least {
                break;
            }
        }
        if best < least {
            return Err(format!(
                "batches of {events} events: {best:.2} times as fast as the reference, {least:.2} at \
                 least were expected"
            )
            .into());
        }
    }
    Ok(())
}
