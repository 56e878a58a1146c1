//! The main job, end to end, on real servers: `make demo`.
//!
//! Two API processes and two consumers work off a generated session of an exchange. Every answer,
//! every outcome with its reason and every balance is compared with a model that shares no code
//! with the product. The last line of standard output is one JSON object; the exit code is 0 only
//! when nothing is off.

mod options;
mod report;
mod screen;
mod step;

use anyhow::Result;
use options::Options;
use report::Report;
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code after Ctrl-C or SIGTERM, as shells give it.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(usage) => {
            let _ = writeln!(std::io::stderr(), "{usage}");
            return ExitCode::from(2);
        }
    };
    // The run is dropped when a signal comes first, and its processes die with it.
    let ended = tokio::select! {
        ended = step::run(options) => ended,
        () = interruption() => {
            let _ = writeln!(std::io::stderr(), "[demo] interrupted; its processes are stopped");
            return ExitCode::from(INTERRUPTED);
        }
    };
    match ended.and_then(|report| conclude(&report)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "[demo] failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table and, last, the JSON object; says whether nothing is off.
fn conclude(report: &Report) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{report}")?;
    writeln!(out, "{}", serde_json::to_string(&report.summary)?)?;
    Ok(report.is_sound())
}

async fn interruption() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
