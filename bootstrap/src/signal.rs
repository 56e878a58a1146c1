//! Stopping: the first signal, or the process itself, drains; the second signal ends the process.

use crate::exit::{CUT_OFF, FAULT};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Gives a token that the first SIGTERM or SIGINT cancels, or whoever holds it. A second signal, or the
/// deadline after that, ends the process at once: nothing is lost by that, only other processes' time.
///
/// # Errors
/// When the system refuses signal handlers.
pub fn shutdown(deadline: Duration) -> std::io::Result<CancellationToken> {
    let mut signals = Signals {
        term: signal(SignalKind::terminate())?,
        int: signal(SignalKind::interrupt())?,
    };
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let (why, code) = tokio::select! {
            name = signals.next() => (name, CUT_OFF),
            () = stop.cancelled() => ("a fault", FAULT),
        };
        info!(
            why,
            deadline_ms = deadline.as_millis(),
            "stopping: finishing what has begun"
        );
        stop.cancel();
        tokio::select! {
            name = signals.next() => warn!(signal = name, "second signal: ending at once"),
            () = tokio::time::sleep(deadline) => warn!("the deadline for stopping has passed: ending"),
        }
        std::process::exit(code.into());
    });
    Ok(token)
}

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
