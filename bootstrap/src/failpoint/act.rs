//! What happens at a point that is hit.

use super::plan::{Action, Entry};
use crate::exit::UsageError;
use rustix::process::{Signal, getpid, kill_process};
use std::env;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where hits that act are appended: point, action, number of the hit and Unix microseconds,
/// separated by tabs.
const LOG: &str = "AXS_FAILPOINTS_LOG";

/// A stop reaches the other threads a moment after the one that asked for it.
const UNTIL_STOPPED: Duration = Duration::from_millis(100);

/// Arms every entry.
///
/// # Errors
/// The log can't be written, or the points refuse.
pub fn arm(plan: Vec<Entry>) -> Result<(), UsageError> {
    let log = match env::var_os(LOG) {
        None => None,
        Some(path) => Some(
            File::options()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(|why| UsageError(format!("{LOG}: {}: {why}", path.display())))?,
        ),
    };
    for entry in plan {
        let point = entry.point;
        let armed = match entry.action {
            // Only a point's own expression can leave a rule out, so `fail` counts no hits of it.
            Action::Break => fail::cfg(point, "return"),
            _ => {
                let log = log.as_ref().map(File::try_clone).transpose();
                let log = log.map_err(|why| UsageError(format!("{LOG}: {why}")))?;
                let hits = AtomicU64::new(0);
                fail::cfg_callback(point, move || hit(&entry, &hits, log.as_ref()))
            }
        };
        armed.map_err(|why| UsageError(format!("AXS_FAILPOINTS: {point}: {why}")))?;
        tracing::warn!(point, "a failpoint is armed");
    }
    Ok(())
}

fn hit(entry: &Entry, hits: &AtomicU64, log: Option<&File>) {
    let number = hits.fetch_add(1, Ordering::SeqCst) + 1;
    let acts = if entry.hits.later {
        number >= entry.hits.first
    } else {
        number == entry.hits.first
    };
    if !acts {
        return;
    }
    if let Some(log) = log {
        note(log, entry, number);
    }
    match entry.action {
        Action::Kill => {
            let _ = kill_process(getpid(), Signal::KILL);
        }
        Action::Stop => {
            let _ = kill_process(getpid(), Signal::STOP);
            thread::sleep(UNTIL_STOPPED);
        }
        Action::Sleep(millis) => thread::sleep(Duration::from_millis(millis)),
        Action::Break => {}
    }
}

/// One write, so that lines of processes side by side don't mix.
fn note(mut log: &File, entry: &Entry, number: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = now.map(|since| since.as_micros()).unwrap_or_default();
    let line = format!("{}\t{:?}\t{number}\t{micros}\n", entry.point, entry.action);
    if let Err(why) = log.write_all(line.as_bytes()) {
        tracing::error!(%why, "a failpoint's hit was not logged");
    }
}
