//! Waits that end: every wait names what it waits for, and its bound.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// What one look found.
#[derive(Debug)]
pub enum Look<T> {
    /// What was waited for.
    There(T),
    /// Not yet, and what was seen instead.
    NotYet(String),
}

/// How long a wait may take, and how often it looks.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The wait ends with an error after this time.
    pub bound: Duration,
    /// The pause between two looks.
    pub pause: Duration,
}

impl Patience {
    /// For what a process does by itself: starts, elections, drains. Generous, since two cores
    /// may hold everything and a build besides.
    pub const PROCESS: Self = Self::of(Duration::from_secs(60));

    /// This bound, with a look every 20 ms.
    #[must_use]
    pub const fn of(bound: Duration) -> Self {
        Self {
            bound,
            pause: Duration::from_millis(20),
        }
    }
}

/// Looks until it is there.
///
/// # Errors
/// After the bound: what was waited for, and what the last look saw. An error of a look ends the
/// wait at once.
pub async fn until<T, F>(what: &str, patience: Patience, mut look: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Look<T>>,
{
    let began = Instant::now();
    loop {
        match look().await? {
            Look::There(found) => return Ok(found),
            Look::NotYet(seen) if began.elapsed() >= patience.bound => {
                bail!("waited {:?} for {what}; last seen: {seen}", patience.bound)
            }
            Look::NotYet(_) => tokio::time::sleep(patience.pause).await,
        }
    }
}
