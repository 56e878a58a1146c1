//! Plans of failpoints given to processes, and what they really hit.

use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often the log is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// The environment of a process with a plan.
#[must_use]
pub fn environment(plan: &str, log: &Path) -> Vec<(String, String)> {
    vec![
        ("AXS_FAILPOINTS".to_owned(), plan.to_owned()),
        ("AXS_FAILPOINTS_LOG".to_owned(), log.display().to_string()),
        // A point that sleeps or breaks holds a thread; the others must have theirs.
        ("TOKIO_WORKER_THREADS".to_owned(), "8".to_owned()),
    ]
}

/// A hit that acted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The point.
    pub point: String,
    /// Since the Unix epoch, by this machine's clock.
    pub at: Duration,
}

impl Hit {
    /// How long ago it was.
    #[must_use]
    pub fn ago(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default().saturating_sub(self.at)
    }
}

/// The file to which processes append their hits.
#[derive(Debug, Clone)]
pub struct HitLog(PathBuf);

impl HitLog {
    /// In this folder.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join("failpoints.tsv"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Every hit so far.
    #[must_use]
    pub fn hits(&self) -> Vec<Hit> {
        let text = fs::read_to_string(&self.0).unwrap_or_default();
        text.lines().filter_map(hit).collect()
    }

    /// Waits for so many hits of a point, and gives the last.
    ///
    /// # Errors
    /// They did not come within the bound.
    pub async fn wait(&self, point: &str, count: usize, bound: Duration) -> Result<Hit> {
        let began = Instant::now();
        loop {
            let mut of_point = self.hits();
            of_point.retain(|hit| hit.point == point);
            if of_point.len() >= count
                && let Some(last) = of_point.pop()
            {
                return Ok(last);
            }
            if began.elapsed() > bound {
                bail!("{point} was hit {} times in {bound:?}", of_point.len());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn hit(line: &str) -> Option<Hit> {
    let mut columns = line.split('\t');
    let point = columns.next()?.to_owned();
    let micros = columns.nth(2)?.parse().ok()?;
    Some(Hit {
        point,
        at: Duration::from_micros(micros),
    })
}
