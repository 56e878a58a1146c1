//! Changing the layout under load: writing pauses, what is logged becomes final, one switch, and
//! writing goes on.
//!
//! A command that dies leaves the pause standing, and nothing half done: run again, it takes its
//! own change over and finishes it; `bootstrap layout resume` takes it back.

mod adopt;
mod drain;
mod raise;

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "testkit"))]
pub use adopt::MockAdoptTopic;
pub use adopt::{AdoptOrder, AdoptPreview, AdoptTopic, AdoptedPartition, TopicAdoption};
#[cfg(any(test, feature = "testkit"))]
pub use raise::MockRaisePartitions;
pub use raise::{LayoutRaised, PartitionRaising, RaiseOrder, RaisePartitions};

use crate::port::event_topic::{BrokerError, TopicDescription};
use crate::port::layout_change::{LayoutChange, LayoutChangeError, StandingChange};
use crate::port::layout_store::StoredLayout;
use crate::port::store_error::StoreError;
use axs_domain::id::{LayoutChangeId, PartitionId};
use axs_domain::layout_raise::RaiseError;

/// Where a change stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeProgress {
    /// It looks at layout and topic.
    Checking,
    /// Writing is paused, and appends under way are waited for.
    Pausing,
    /// Writing is paused; what is logged becomes final.
    Draining {
        /// Records of the topic that no leader has written yet.
        records_left: u64,
        /// Events that are neither final nor parked, up to a bound; unknown while records are left.
        undecided: Option<u32>,
        /// What hinders the looking, if it is hindered.
        trouble: Option<String>,
    },
    /// The topics get more partitions.
    GrowingTopics,
    /// Leaders are fenced and the change is made.
    Switching,
}

/// Why a change was not made. Writing goes on, unless the text says that it is still paused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeLayoutError {
    /// Nothing to change.
    #[error("there is no layout yet; run `bootstrap layout init`")]
    NotLaidOut,
    /// The numbers don't fit.
    #[error(transparent)]
    Raise(#[from] RaiseError),
    /// A topic of the settings is not the layout's. Nothing was done.
    #[error("{setting} is {found}; the layout's is {expected}")]
    OtherTopic {
        /// The setting.
        setting: &'static str,
        /// What it names.
        found: String,
        /// What it should name.
        expected: String,
    },
    /// The topic is not one that the change can begin with. Nothing was done.
    #[error("{0}")]
    Topic(String),
    /// A topic has more partitions than the raise asks for. Nothing was done.
    #[error(
        "topic {topic} has {count} partitions already, and Kafka takes none back: raise to {count} or \
         more"
    )]
    TopicHasMore {
        /// The topic.
        topic: String,
        /// Its partitions.
        count: usize,
    },
    /// No such partition.
    #[error("the layout has no partition {partition}; it has {count}")]
    NoPartition {
        /// The partition asked for.
        partition: PartitionId,
        /// Partitions of the layout.
        count: usize,
    },
    /// Another change pauses writing.
    #[error(
        "another change of the layout is under way, since {}: finish it by the same command, or \
         take it back by `bootstrap layout resume`", .0.paused_since
    )]
    OtherUnderWay(StandingChange),
    /// Not everything became final in time.
    #[error("not everything became final in time: {left}. Is a consumer live, and ready?")]
    NotDrained {
        /// What was left.
        left: String,
    },
    /// The operator stopped it.
    #[error("stopped before the change was made")]
    Stopped,
    /// The change itself was refused.
    #[error(transparent)]
    Change(#[from] LayoutChangeError),
    /// The broker is away.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The store is away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It failed, and the pause could not be taken back either.
    #[error("{cause}. Writing is STILL PAUSED: {why}")]
    StillPaused {
        /// Why the change was not made, or not finished.
        cause: Box<ChangeLayoutError>,
        /// Why the pause stands, and what to do.
        why: String,
    },
}

/// Takes the pause back after a failure, which stays the answer.
async fn take_back(
    changes: &dyn LayoutChange,
    change: LayoutChangeId,
    cause: ChangeLayoutError,
) -> ChangeLayoutError {
    match changes.resume(Some(change)).await {
        // Not standing: another command has it, or the switch was made.
        Ok(_) => cause,
        Err(failure) => ChangeLayoutError::StillPaused {
            cause: Box::new(cause),
            why: format!("{failure}; run `bootstrap layout resume`, or the command again"),
        },
    }
}

/// Refuses a topic that the layout was not made for.
fn check_name(stored: &StoredLayout, found: &TopicDescription) -> Result<(), ChangeLayoutError> {
    if stored.events_topic == found.topic {
        return Ok(());
    }
    Err(ChangeLayoutError::OtherTopic {
        setting: "kafka.events_topic",
        found: found.topic.clone(),
        expected: stored.events_topic.clone(),
    })
}
