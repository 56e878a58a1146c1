//! Measures the bulk path against the form that it replaces, in one run and in turn:
//!
//! - *ours*: `PgBatchWriter`, one COPY to a temporary table and one CTE, guarded;
//! - *reference*: COPY to an unlogged table, UPDATE … FROM it, TRUNCATE, with the same rows to
//!   write, the same fence and offset, but without guards of versions;
//!
//! over TCP as the driver leaves it, over TCP with `TCP_NODELAY`, and over a Unix socket. The
//! option is set on every connection to an address, so the first way is measured by itself, on
//! connections made before; each ratio is to the reference over the same way, in turn with it. The
//! last line of each size is ours over TCP with `TCP_NODELAY` against ours over the socket, which
//! were in turn too: it should be 0.9 at least.
//!
//! ```text
//! AXS_TEST_DATABASE_URL=postgres://… AXS_TEST_DATABASE_SOCKET_URL=postgres://… \
//!     cargo run --release -p axs-infrastructure --features reference-form --example bulk_path
//! ```
//!
//! Times are of the write alone: log rows are inserted and the batch is decided before.
//!
//! With `--smoke` it measures a few batches only, and fails when a ratio to the reference has lost
//! a third since those of [`smoke`] were taken.

#![expect(clippy::print_stdout, reason = "a table for a person")]

mod measured_form;
mod smoke;
mod workload;

use axs_infrastructure::postgres::batch::BatchWriterSettings;
use measured_form::{Failure, MeasuredForm};
use std::time::Duration;
use workload::Workload;

/// Batch sizes, and how often each is measured.
const SIZES: [(usize, usize); 4] = [(200, 31), (1_000, 21), (5_000, 11), (20_000, 7)];

const WARM_UP_ROUNDS: usize = 2;

const SOCKET_URL: &str = "AXS_TEST_DATABASE_SOCKET_URL";
const TCP_URL: &str = "AXS_TEST_DATABASE_URL";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--smoke"] => true,
        _ => return Err(format!("{arguments:?} is not understood; only --smoke is").into()),
    };
    let database = workload::scratch_database(&variable(TCP_URL)?).await?;
    let measured = if smoke {
        smoke::check(&database.name).await
    } else {
        measure_all(&database.name).await
    };
    database.drop().await?;
    measured
}

async fn measure_all(database: &str) -> Result<(), Failure> {
    let socket = workload::address_in(&variable(SOCKET_URL)?, database)?;
    let tcp = workload::address_in(&variable(TCP_URL)?, database)?;
    let mut workload = Workload::prepare(&tcp).await?;
    let delayed = BatchWriterSettings {
        tcp_no_delay: false,
        ..BatchWriterSettings::default()
    };
    let sound = BatchWriterSettings::default();
    println!(
        "{:>7}  {:<28} {:>10} {:>12} {:>8}",
        "events", "form", "median ms", "events/s", "ratio"
    );
    for (events, rounds) in SIZES {
        let as_the_driver_leaves_it = vec![
            MeasuredForm::reference("reference, TCP", &tcp, delayed)?,
            MeasuredForm::ours("ours, TCP", &tcp, delayed)?,
        ];
        measure(as_the_driver_leaves_it, &mut workload, events, rounds).await?;
        let tended = vec![
            MeasuredForm::reference("reference, TCP with NODELAY", &tcp, sound)?,
            MeasuredForm::ours("ours, TCP with NODELAY", &tcp, sound)?,
            MeasuredForm::reference("reference, socket", &socket, sound)?,
            MeasuredForm::ours("ours, socket", &socket, sound)?,
        ];
        let medians = measure(tended, &mut workload, events, rounds).await?;
        if let [_, over_tcp, _, over_socket] = medians[..] {
            let ratio = over_socket / over_tcp;
            println!(
                "{events:>7}  {:<28} {:>10} {:>12} {ratio:>8.2}",
                "ours, TCP against socket", "", ""
            );
        }
    }
    Ok(())
}

/// Measures pairs of the reference and ours, all in turn; gives the medians in milliseconds.
async fn measure(
    forms: Vec<MeasuredForm>,
    workload: &mut Workload,
    events: usize,
    rounds: usize,
) -> Result<Vec<f64>, Failure> {
    let medians = medians(&forms, workload, events, rounds).await?;
    for (pair, medians) in forms.chunks(2).zip(medians.chunks(2)) {
        for (form, median) in pair.iter().zip(medians) {
            let rate = f64::from(u32::try_from(events)?) / median * 1_000.0;
            println!(
                "{events:>7}  {:<28} {median:>10.2} {rate:>12.0} {:>8.2}",
                form.name(),
                medians[0] / median
            );
        }
    }
    Ok(medians)
}

/// The median of each form in milliseconds, all in turn.
async fn medians(
    forms: &[MeasuredForm],
    workload: &mut Workload,
    events: usize,
    rounds: usize,
) -> Result<Vec<f64>, Failure> {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); forms.len()];
    // Rounds that are not counted: afterwards buffers, connections and the option are set.
    for round in 0..rounds + WARM_UP_ROUNDS {
        for (form, times) in forms.iter().zip(&mut times) {
            let time = form.write(workload, events).await?;
            if round >= WARM_UP_ROUNDS {
                times.push(time);
            }
        }
    }
    Ok(times.into_iter().map(median_ms).collect())
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1_000.0
}

fn variable(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|_| format!("{name} must name a PostgreSQL server").into())
}
