//! Putting another log behind the stored offsets: after a topic was lost or made anew, after the
//! cluster was replaced, or when retention removed records before they were processed.
//!
//! Every partition is led on from the *end* of its log as it is now. What was logged and never
//! decided is still INIT, and the relay publishes it again, in the order of the log; had the
//! leaders begun at the log's start, newer events that are on it already would come first.

use super::drain::Drain;
use super::{ChangeLayoutError, ChangeProgress, check_name, take_back};
use crate::port::event_topic::{EventTopic, TopicDescription};
use crate::port::layout_change::{
    LayoutChange, LayoutChangeError, LayoutChangeKind, PartitionStart, Pausing,
};
use crate::port::layout_change_notes::LayoutChangeNotes;
use crate::port::layout_store::{LayoutStore, StoredLayout};
use crate::port::partition_leadership::PartitionLeadership;
use async_trait::async_trait;
use axs_domain::id::{LayoutChangeId, Offset, PartitionId};
use shaku::{Component, Interface};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptOrder {
    /// This partition alone; every one otherwise.
    pub partition: Option<PartitionId>,
    /// How long writing stays paused for the relay to publish again what was lost; `None` resumes
    /// writing at once, and newer events may then overtake those.
    pub drain_max: Option<Duration>,
}

/// A partition before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdoptedPartition {
    /// Which.
    pub partition: PartitionId,
    /// The stored offset now.
    pub stored_offset: Offset,
    /// The end of the log as it is now, from which it would be led on; `None` for a topic that is
    /// to be made.
    pub log_end: Option<Offset>,
}

/// What adopting would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptPreview {
    /// The topic.
    pub topic: String,
    /// Whether it would be made.
    pub makes_topic: bool,
    /// The cluster of the layout.
    pub cluster_before: Option<String>,
    /// The cluster that the brokers name.
    pub cluster_now: Option<String>,
    /// The partitions.
    pub partitions: Vec<AdoptedPartition>,
}

/// Adopts the topic as it is now.
///
/// # Contract
/// - Nothing takes effect twice, whatever the log holds: an event that is final stays so.
/// - Writing is paused meanwhile, and until what was logged before is final; when that does not
///   come in time, the pause stays and the error says so. Called again, it begins anew.
/// - What an API process had accepted and not sent is outside of it: it may land before or behind
///   what the relay publishes. Stop those processes first.
///
/// # Errors
/// [`ChangeLayoutError`].
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait AdoptTopic: Interface {
    /// What it would do.
    async fn preview(
        &self,
        partition: Option<PartitionId>,
    ) -> Result<AdoptPreview, ChangeLayoutError>;

    /// Does it.
    async fn adopt(
        &self,
        order: AdoptOrder,
        progress: watch::Sender<ChangeProgress>,
        stop: CancellationToken,
    ) -> Result<AdoptPreview, ChangeLayoutError>;
}

/// Adopts the broker's topic in the store.
#[derive(Component)]
#[shaku(interface = AdoptTopic)]
pub struct TopicAdoption {
    #[shaku(inject)]
    layouts: Arc<dyn LayoutStore>,
    #[shaku(inject)]
    changes: Arc<dyn LayoutChange>,
    #[shaku(inject)]
    notes: Arc<dyn LayoutChangeNotes>,
    #[shaku(inject)]
    leadership: Arc<dyn PartitionLeadership>,
    #[shaku(inject)]
    topic: Arc<dyn EventTopic>,
}

impl TopicAdoption {
    /// An adoption over these stores and this topic.
    #[must_use]
    pub fn new(
        layouts: Arc<dyn LayoutStore>,
        changes: Arc<dyn LayoutChange>,
        notes: Arc<dyn LayoutChangeNotes>,
        leadership: Arc<dyn PartitionLeadership>,
        topic: Arc<dyn EventTopic>,
    ) -> Self {
        Self {
            layouts,
            changes,
            notes,
            leadership,
            topic,
        }
    }

    /// Makes the topic where it is missing, and sets the offsets.
    async fn switch(
        &self,
        change: LayoutChangeId,
        order: &AdoptOrder,
        progress: &watch::Sender<ChangeProgress>,
    ) -> Result<AdoptPreview, ChangeLayoutError> {
        let mut adopted = self.preview(order.partition).await?;
        if adopted.makes_topic {
            progress.send_replace(ChangeProgress::GrowingTopics);
            self.topic.create(adopted.partitions.len()).await?;
        }
        let mut starts = Vec::with_capacity(adopted.partitions.len());
        for row in &mut adopted.partitions {
            // Looked at in the pause: what comes behind it is read.
            let end = self.topic.bounds(row.partition).await?.end;
            row.log_end = Some(end);
            starts.push(PartitionStart {
                partition: row.partition,
                offset: end,
            });
        }
        progress.send_replace(ChangeProgress::Switching);
        let cluster = self.topic.describe().await?.cluster_id;
        self.changes.adopt(change, starts, cluster).await?;
        Ok(adopted)
    }
}

/// Whether the topic may be adopted although the switch failed: its answer was lost, or the command
/// that paused before adopted it, and did not wait for everything.
const fn may_be_adopted(cause: &ChangeLayoutError, was_paused: bool) -> bool {
    match cause {
        ChangeLayoutError::Change(LayoutChangeError::Store(_)) => true,
        // The pause is another command's.
        ChangeLayoutError::Change(LayoutChangeError::TakenOver) => false,
        _ => was_paused,
    }
}

/// Why a pause is not taken back.
const ORDER_AT_STAKE: &str = "newer events must not overtake what is undecided. Run the command \
     again to go on waiting, or `bootstrap layout resume` to give that order up";

#[async_trait]
impl AdoptTopic for TopicAdoption {
    async fn preview(
        &self,
        partition: Option<PartitionId>,
    ) -> Result<AdoptPreview, ChangeLayoutError> {
        let stored = self.layouts.load().await?;
        let stored = stored.ok_or(ChangeLayoutError::NotLaidOut)?;
        let found = self.topic.describe().await?;
        check(&stored, &found, partition)?;
        let makes_topic = found.partition_count.is_none();
        let mut partitions = Vec::new();
        for leader in self.leadership.leaders().await? {
            if partition.is_some_and(|only| only != leader.partition) {
                continue;
            }
            let log_end = if makes_topic {
                None
            } else {
                Some(self.topic.bounds(leader.partition).await?.end)
            };
            partitions.push(AdoptedPartition {
                partition: leader.partition,
                stored_offset: leader.stored_offset,
                log_end,
            });
        }
        Ok(AdoptPreview {
            topic: found.topic,
            makes_topic,
            cluster_before: stored.cluster_id,
            cluster_now: found.cluster_id,
            partitions,
        })
    }

    async fn adopt(
        &self,
        order: AdoptOrder,
        progress: watch::Sender<ChangeProgress>,
        stop: CancellationToken,
    ) -> Result<AdoptPreview, ChangeLayoutError> {
        // What can't be adopted must not pause anybody.
        self.preview(order.partition).await?;
        progress.send_replace(ChangeProgress::Pausing);
        let (change, was_paused) = match self.changes.pause(LayoutChangeKind::Adopt).await? {
            Pausing::Paused(change) => (change, false),
            Pausing::GoesOn(change) => (change, true),
            Pausing::OtherUnderWay(standing) => {
                return Err(ChangeLayoutError::OtherUnderWay(standing));
            }
            Pausing::NotLaidOut => return Err(ChangeLayoutError::NotLaidOut),
        };
        let still_paused = |cause, why: &str| ChangeLayoutError::StillPaused {
            cause: Box::new(cause),
            why: why.to_owned(),
        };
        let adopted = match self.switch(change, &order, &progress).await {
            Ok(adopted) => adopted,
            Err(cause) if may_be_adopted(&cause, was_paused) => {
                return Err(still_paused(cause, ORDER_AT_STAKE));
            }
            Err(cause) => return Err(take_back(&*self.changes, change, cause).await),
        };
        if let Some(drain_max) = order.drain_max {
            let drain = Drain {
                change,
                notes: Arc::clone(&self.notes),
                changes: Arc::clone(&self.changes),
                leadership: Arc::clone(&self.leadership),
                topic: Arc::clone(&self.topic),
            };
            let drained = drain.until_all_is_final(drain_max, &progress, &stop).await;
            if let Err(cause) = drained {
                return Err(still_paused(cause, ORDER_AT_STAKE));
            }
        }
        match self.changes.resume(Some(change)).await {
            Ok(_) => Ok(adopted),
            Err(failure) => Err(still_paused(
                failure.into(),
                "the topic is adopted; run `bootstrap layout resume`",
            )),
        }
    }
}

fn check(
    stored: &StoredLayout,
    found: &TopicDescription,
    partition: Option<PartitionId>,
) -> Result<(), ChangeLayoutError> {
    check_name(stored, found)?;
    let expected = stored.layout.partition_count();
    let topic = &found.topic;
    if let Some(count) = found.partition_count
        && !stored.allows_topic_of(count)
    {
        return Err(ChangeLayoutError::Topic(format!(
            "topic {topic} has {count} partitions and the layout {expected}: make it with \
             {expected}, or with more and raise the layout first"
        )));
    }
    let Some(partition) = partition else {
        return Ok(());
    };
    if !stored.layout.partitions().any(|it| it == partition) {
        return Err(ChangeLayoutError::NoPartition {
            partition,
            count: expected,
        });
    }
    let other_cluster = stored.other_cluster(found.cluster_id.as_deref());
    if found.partition_count.is_none() || other_cluster.is_some() {
        return Err(ChangeLayoutError::Topic(format!(
            "topic {topic} is gone, or of another cluster: adopt it as a whole, without --partition"
        )));
    }
    Ok(())
}
