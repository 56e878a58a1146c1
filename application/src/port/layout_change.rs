//! Changing the layout, or what stands behind it: a pause of all writing around one switch.

use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::id::{LayoutChangeId, LayoutEpoch, Offset, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::time::Timestamp;
use shaku::Interface;
use std::time::Duration;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutChangeKind {
    /// The number of partitions is raised to this.
    Raise {
        /// The partitions after it.
        partition_count: usize,
    },
    /// A new log is put behind the stored offsets.
    Adopt,
}

/// A change under way, or one whose command died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandingChange {
    /// What.
    pub kind: LayoutChangeKind,
    /// Since when nothing is logged, by PostgreSQL's clock.
    pub paused_since: Timestamp,
    /// For how long its command has not been heard of. It says that it lives with every look at
    /// what is left, about once a second, and not while it grows topics or switches.
    pub silent_for: Duration,
}

/// What an attempt to pause came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pausing {
    /// Nothing is logged any more, and nothing that began before is still under way.
    Paused(LayoutChangeId),
    /// The same, and writing was paused for the same change before: its command has lost it.
    GoesOn(LayoutChangeId),
    /// Another change pauses already.
    OtherUnderWay(StandingChange),
    /// There is no layout.
    NotLaidOut,
}

/// Where a partition is to be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStart {
    /// Which partition.
    pub partition: PartitionId,
    /// Its new stored offset.
    pub offset: Offset,
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutChangeError {
    /// The pause is not this change's any more: it was taken back, or another command took it over.
    /// Nothing was changed.
    #[error("this change was taken back or taken over by another command; nothing was changed")]
    TakenOver,
    /// The layout is of another epoch than the one that the change began with. Nothing was changed.
    #[error("the layout is at epoch {standing} already; nothing was changed")]
    Moved {
        /// The epoch that stands.
        standing: LayoutEpoch,
    },
    /// An event is undecided again, although none was: the database lost its last moments in a
    /// failover, or a parked event was redriven. Nothing was changed.
    #[error("an event is undecided again since the drain; nothing was changed, begin again")]
    Undecided,
    /// The store failed. Whether the change was made is unknown; the layout tells.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Pauses writing, and makes one change of the layout in the pause.
///
/// # Contract
/// - `pause` outlives its caller. After `Paused`, no append is under way and every later one is
///   refused, whichever process makes it and whatever layout that process knows. Pausing for the
///   same change again takes it over: the caller before loses it. After an error writing is as it
///   was before, unless the text says that it may be paused.
/// - `raise` and `adopt` commit as a whole: leaders of before are fenced and their leases ended,
///   once their open batches are over, and whoever leads from then on sees the change. `raise`
///   looks once more, under these locks, that nothing of the last minutes is undecided.
/// - `raise` ends the pause with its own commit; `adopt` leaves it standing.
///
/// # Errors
/// [`LayoutChangeError`] and [`StoreError`]; every call may be made again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait LayoutChange: Interface {
    /// Pauses writing for a change, or takes over the pause of the same one.
    async fn pause(&self, kind: LayoutChangeKind) -> Result<Pausing, StoreError>;

    /// Ends the pause of `change`, or whichever stands; `false` when it does not stand.
    async fn resume(&self, change: Option<LayoutChangeId>) -> Result<bool, StoreError>;

    /// How many events of the log are neither final nor parked, counted up to `count_max`.
    async fn undecided(&self, count_max: u32) -> Result<u32, StoreError>;

    /// Puts a raised layout, one epoch later, in place of the standing one. `starts` are the stored
    /// offsets of its new partitions.
    async fn raise(
        &self,
        change: LayoutChangeId,
        layout: Layout,
        starts: Vec<PartitionStart>,
    ) -> Result<(), LayoutChangeError>;

    /// Sets the stored offsets of these partitions to another log, and notes its cluster.
    async fn adopt(
        &self,
        change: LayoutChangeId,
        starts: Vec<PartitionStart>,
        cluster_id: Option<String>,
    ) -> Result<(), LayoutChangeError>;
}
