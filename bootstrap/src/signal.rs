//! Stopping: the first signal, or the process itself, drains; a second signal, a while later, ends
//! the process.

use crate::exit::{CUT_OFF, FAULT};
use futures::future::ready;
use futures::stream::{Stream, StreamExt, unfold};
use std::pin::pin;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Signals within this time after the first are the same wish: GNU timeout signals its child and
/// then the whole group, and a shell that is told to stop passes on what the child was told by its
/// terminal.
const ONE_WISH: Duration = Duration::from_secs(1);

/// Gives a token that the first SIGTERM or SIGINT cancels, or whoever holds it. A second signal,
/// more than [`ONE_WISH`] later, or the deadline ends the process at once: nothing is lost by that,
/// only other processes' time.
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
            Some(name) = another_wish(Instant::now(), signals.names()) => warn!(signal = name, "second signal: ending at once"),
            () = tokio::time::sleep(deadline) => warn!("the deadline for stopping has passed: ending"),
        }
        std::process::exit(code.into());
    });
    Ok(token)
}

/// The first signal that comes more than [`ONE_WISH`] after `first`.
async fn another_wish(
    first: Instant,
    names: impl Stream<Item = &'static str>,
) -> Option<&'static str> {
    let mut later = pin!(names.filter(|_| ready(first.elapsed() > ONE_WISH)));
    later.next().await
}

struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// One name after another, without an end.
    fn names(self) -> impl Stream<Item = &'static str> {
        unfold(self, |mut signals| async move {
            let name = signals.next().await;
            Some((name, signals))
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn signals_within_a_second_of_the_first_are_the_same_wish() {
        let began = Instant::now();
        let at_ms = [0, 1, 999, 1_001, 5_000];
        let coming = futures::stream::iter(at_ms).then(|at_ms| async move {
            tokio::time::sleep_until(began + Duration::from_millis(at_ms)).await;
            "SIGTERM"
        });
        assert_eq!(another_wish(began, coming).await, Some("SIGTERM"));
        assert_eq!(began.elapsed(), Duration::from_millis(1_001));
    }
}
