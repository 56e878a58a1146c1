//! What a consumer tells about the partitions it leads.

use serde::Serialize;

/// A partition that this process does not lead although it could, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedPartition {
    /// Which partition.
    pub partition: i32,
    /// Why, and what to do.
    pub reason: String,
}

/// A consumer's part in the election, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeadershipSnapshot {
    /// Whether the election loop runs. A consumer whose loop ended leads nothing ever again.
    pub electing: bool,
    /// The partitions it leads, in order.
    pub led: Vec<i32>,
    /// The partitions it refuses to lead, in order.
    pub refused: Vec<RefusedPartition>,
}

/// Tells a consumer's part in the election. Asked often: answers from memory, at once.
#[cfg_attr(test, mockall::automock)]
pub trait LeadershipView: Send + Sync {
    /// The part it has now.
    fn snapshot(&self) -> LeadershipSnapshot;
}
