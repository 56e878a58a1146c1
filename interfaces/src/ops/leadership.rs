//! What a consumer tells about its election and the partitions it leads.

use axs_application::usecase::lead_partitions::{
    LeadPartitions, LeadershipEnd, LeadershipStatus, LedPartition, RefusedPartition,
};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// A led partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedReport {
    /// Which partition.
    pub partition: i32,
    /// Under which token.
    pub token: i64,
    /// The stored offset.
    pub stored_offset: i64,
    /// Offsets from there to the end of the log, once that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<i64>,
    /// Whether it is being handed over.
    pub draining: bool,
}

/// A partition that this process does not lead although it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedReport {
    /// Which partition.
    pub partition: i32,
    /// Why, and what to do.
    pub reason: String,
}

/// A consumer's part in the election, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeadershipReport {
    /// Whether the election loop runs. A consumer whose loop ended leads nothing ever again.
    pub electing: bool,
    /// Live consumers, this one included, as last seen.
    pub live_consumers: usize,
    /// What it waits for, if it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// The partitions it leads, in order.
    pub led: Vec<LedReport>,
    /// The partitions it refuses to lead, in order.
    pub refused: Vec<RefusedReport>,
}

impl LeadershipReport {
    fn new(electing: bool, status: LeadershipStatus) -> Self {
        let led = |led: LedPartition| LedReport {
            partition: led.partition.value(),
            token: led.token.value(),
            stored_offset: led.stored_offset.value(),
            lag: led.lag,
            draining: led.draining,
        };
        let refused = |refused: RefusedPartition| RefusedReport {
            partition: refused.partition.value(),
            reason: refused.reason,
        };
        Self {
            electing,
            live_consumers: status.live_consumers,
            waiting_for: status.waiting_for,
            led: status.led.into_iter().map(led).collect(),
            refused: status.refused.into_iter().map(refused).collect(),
        }
    }

    /// Whether it does less than it should.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.waiting_for.is_some() || !self.refused.is_empty()
    }
}

/// The election loop of a consumer, and whether it runs.
pub struct Election {
    leading: Arc<dyn LeadPartitions>,
    runs: AtomicBool,
}

impl Election {
    /// An election that does not run yet.
    #[must_use]
    pub fn new(leading: Arc<dyn LeadPartitions>) -> Self {
        Self {
            leading,
            runs: AtomicBool::new(false),
        }
    }

    /// Runs the loop; see [`LeadPartitions::run`]. Run once per process.
    pub async fn run(&self, shutdown: CancellationToken) -> LeadershipEnd {
        let _running = Running::mark(&self.runs);
        self.leading.run(shutdown).await
    }

    /// The part it has now. Answers from memory, at once.
    #[must_use]
    pub fn report(&self) -> LeadershipReport {
        LeadershipReport::new(self.runs.load(Ordering::Acquire), self.leading.status())
    }
}

/// Takes the mark away even when the loop ends by a panic.
struct Running<'a>(&'a AtomicBool);

impl<'a> Running<'a> {
    fn mark(runs: &'a AtomicBool) -> Self {
        runs.store(true, Ordering::Release);
        Self(runs)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
