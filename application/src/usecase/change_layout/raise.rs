//! Raising the number of partitions.

use super::drain::Drain;
use super::{ChangeLayoutError, ChangeProgress, check_name, take_back};
use crate::port::event_topic::{BrokerError, EventTopic, TopicDescription};
use crate::port::layout_change::{
    LayoutChange, LayoutChangeError, LayoutChangeKind, PartitionStart, Pausing,
};
use crate::port::layout_change_notes::{LayoutChangeNotes, LayoutChangeStep};
use crate::port::layout_store::{LayoutStore, StoredLayout};
use crate::port::partition_leadership::PartitionLeadership;
use crate::port::result_topic::ResultTopic;
use async_trait::async_trait;
use axs_domain::id::{LayoutChangeId, Offset, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::layout_raise::{PoolPartitions, is_raised, raise};
use shaku::{Component, Interface};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often a new partition is asked for before the raise fails, to be run again.
const NEW_PARTITION_LOOKS_MAX: u32 = 20;
/// The pause between two of these.
const NEW_PARTITION_PAUSE: Duration = Duration::from_millis(500);

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaiseOrder {
    /// Partitions of the layout afterwards.
    pub partition_count: usize,
    /// Pools that grow, each with its partitions afterwards; empty for a lone pool.
    pub pools: Vec<PoolPartitions>,
    /// How long what is logged may take to become final.
    pub drain_max: Duration,
}

/// The raised layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutRaised {
    /// The layout that stands.
    pub layout: StoredLayout,
    /// How many shards live on another partition now; 0 when the layout stood so before.
    pub shards_moved: usize,
}

/// Raises the number of partitions while clients go on sending: they are refused for a while, with
/// a delay to try again after.
///
/// # Contract
/// - The map moves only while everything logged is final or parked, so that the events of an
///   account keep their order across the move.
/// - On an error writing goes on under the layout of before, unless the error says otherwise.
/// - Called again after it died, it goes on where it was.
/// - A layout that is as large already is left as it is, and nobody is paused, unless a change
///   stands unfinished.
///
/// # Errors
/// [`ChangeLayoutError`].
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait RaisePartitions: Interface {
    /// Raises the layout. `stop` takes it back as long as it drains.
    async fn raise(
        &self,
        order: RaiseOrder,
        progress: watch::Sender<ChangeProgress>,
        stop: CancellationToken,
    ) -> Result<LayoutRaised, ChangeLayoutError>;
}

/// Raises the layout of the store, and the topics with it.
#[derive(Component)]
#[shaku(interface = RaisePartitions)]
pub struct PartitionRaising {
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
    #[shaku(inject)]
    results: Arc<dyn ResultTopic>,
}

impl PartitionRaising {
    /// A raising over these stores and topics.
    #[must_use]
    pub fn new(
        layouts: Arc<dyn LayoutStore>,
        changes: Arc<dyn LayoutChange>,
        notes: Arc<dyn LayoutChangeNotes>,
        leadership: Arc<dyn PartitionLeadership>,
        topic: Arc<dyn EventTopic>,
        results: Arc<dyn ResultTopic>,
    ) -> Self {
        Self {
            layouts,
            changes,
            notes,
            leadership,
            topic,
            results,
        }
    }

    /// The layout as it stands, unless a change of it is under way, or its topics are not what it
    /// needs.
    async fn leave(&self, stored: StoredLayout) -> Result<LayoutRaised, ChangeLayoutError> {
        if let Some(standing) = self.notes.standing().await? {
            return Err(ChangeLayoutError::OtherUnderWay(standing));
        }
        let count = stored.layout.partition_count();
        check_topic(&stored, &self.topic.describe().await?, count)?;
        check_results(&stored, &self.results.describe().await?, count)?;
        Ok(LayoutRaised {
            layout: stored,
            shards_moved: 0,
        })
    }

    /// Everything between the pause and its end.
    async fn switch(
        &self,
        change: LayoutChangeId,
        raised: &Layout,
        order: &RaiseOrder,
        progress: &watch::Sender<ChangeProgress>,
        stop: &CancellationToken,
    ) -> Result<(), ChangeLayoutError> {
        let drain = Drain {
            change,
            notes: Arc::clone(&self.notes),
            changes: Arc::clone(&self.changes),
            leadership: Arc::clone(&self.leadership),
            topic: Arc::clone(&self.topic),
        };
        drain
            .until_all_is_final(order.drain_max, progress, stop)
            .await?;
        progress.send_replace(ChangeProgress::GrowingTopics);
        self.grow_topics(change, raised).await?;
        let mut starts = Vec::new();
        let standing = self.leadership.leaders().await?.len();
        for partition in raised.partitions().skip(standing) {
            // A partition that somebody else made before may have lost its first records.
            let offset = self.start_of(partition).await?;
            starts.push(PartitionStart { partition, offset });
        }
        progress.send_replace(ChangeProgress::Switching);
        Ok(self.changes.raise(change, raised.clone(), starts).await?)
    }

    /// Gives both topics the layout's partitions. What was done of it before is not done again.
    async fn grow_topics(
        &self,
        change: LayoutChangeId,
        raised: &Layout,
    ) -> Result<(), ChangeLayoutError> {
        let count = raised.partition_count();
        self.note_growth(change).await?;
        // The results first: a leader of a new partition publishes there at once.
        let results = self.results.describe().await?;
        check_not_more(&results, count)?;
        match results.partition_count {
            None => {
                self.results.create(count).await?;
            }
            Some(found) if found < count => self.results.grow(count).await?,
            Some(_) => {}
        }
        let events = self.topic.describe().await?;
        check_not_more(&events, count)?;
        // The brokers may have taken long, and the change may be another's by now.
        self.note_growth(change).await?;
        if events.partition_count != Some(count) {
            self.topic.grow(count).await?;
        }
        Ok(())
    }

    /// Notes that the topics grow, before they do: leaders look at the note when they find more
    /// partitions than the layout has.
    async fn note_growth(&self, change: LayoutChangeId) -> Result<(), ChangeLayoutError> {
        let step = LayoutChangeStep::GrowingTopics;
        if self.notes.note(change, step).await? {
            Ok(())
        } else {
            Err(LayoutChangeError::TakenOver.into())
        }
    }

    /// Where a new partition's log begins. Brokers tell of new partitions a little late.
    async fn start_of(&self, partition: PartitionId) -> Result<Offset, BrokerError> {
        for _ in 1..NEW_PARTITION_LOOKS_MAX {
            if let Ok(log) = self.topic.bounds(partition).await {
                return Ok(log.start);
            }
            tokio::time::sleep(NEW_PARTITION_PAUSE).await;
        }
        Ok(self.topic.bounds(partition).await?.start)
    }

    /// Whether a switch whose answer was lost was made.
    async fn stands(&self, raised: &Layout) -> bool {
        let stored = self.layouts.load().await;
        matches!(stored, Ok(Some(stored)) if stored.layout == *raised)
    }
}

#[async_trait]
impl RaisePartitions for PartitionRaising {
    async fn raise(
        &self,
        order: RaiseOrder,
        progress: watch::Sender<ChangeProgress>,
        stop: CancellationToken,
    ) -> Result<LayoutRaised, ChangeLayoutError> {
        let stored = self.layouts.load().await?;
        let stored = stored.ok_or(ChangeLayoutError::NotLaidOut)?;
        if is_raised(&stored.layout, order.partition_count, &order.pools) {
            return self.leave(stored).await;
        }
        let raised = raise(&stored.layout, order.partition_count, &order.pools)?;
        let topic = self.topic.describe().await?;
        check_topic(&stored, &topic, raised.partition_count())?;
        let results = self.results.describe().await?;
        check_results(&stored, &results, raised.partition_count())?;
        progress.send_replace(ChangeProgress::Pausing);
        let kind = LayoutChangeKind::Raise {
            partition_count: raised.partition_count(),
        };
        let change = match self.changes.pause(kind).await? {
            Pausing::Paused(change) | Pausing::GoesOn(change) => change,
            Pausing::OtherUnderWay(standing) => {
                return Err(ChangeLayoutError::OtherUnderWay(standing));
            }
            Pausing::NotLaidOut => return Err(ChangeLayoutError::NotLaidOut),
        };
        let switched = self.switch(change, &raised, &order, &progress, &stop).await;
        if let Err(cause) = switched {
            let lost = matches!(
                cause,
                ChangeLayoutError::Change(LayoutChangeError::Store(_))
            );
            let failure = take_back(&*self.changes, change, cause).await;
            if !lost || !self.stands(&raised).await {
                return Err(failure);
            }
        }
        let shards_moved = moved(&stored.layout, &raised);
        Ok(LayoutRaised {
            layout: StoredLayout {
                layout: raised,
                grown_to: None,
                ..stored
            },
            shards_moved,
        })
    }
}

fn moved(before: &Layout, after: &Layout) -> usize {
    let pairs = before.shards().iter().zip(after.shards());
    pairs.filter(|(a, b)| a.partition != b.partition).count()
}

/// Refuses to raise over a topic that nobody may lead on.
fn check_topic(
    stored: &StoredLayout,
    found: &TopicDescription,
    wanted: usize,
) -> Result<(), ChangeLayoutError> {
    check_name(stored, found)?;
    if let Some((expected, found)) = stored.other_cluster(found.cluster_id.as_deref()) {
        return Err(ChangeLayoutError::Topic(format!(
            "this is Kafka cluster {found}; the layout was made for {expected}"
        )));
    }
    let standing = stored.layout.partition_count();
    match found.partition_count {
        None => Err(ChangeLayoutError::Topic(format!(
            "topic {} does not exist; see `bootstrap layout adopt-topic`",
            found.topic
        ))),
        Some(count) if count < standing => Err(ChangeLayoutError::Topic(format!(
            "topic {} has {count} partitions, the layout {standing}: it is not the layout's topic",
            found.topic
        ))),
        Some(_) => check_not_more(found, wanted),
    }
}

/// Refuses a result topic that is not the layout's, or that no raise to so many can serve.
fn check_results(
    stored: &StoredLayout,
    found: &TopicDescription,
    wanted: usize,
) -> Result<(), ChangeLayoutError> {
    if let Some(kept) = stored.other_results_topic(&found.topic) {
        return Err(ChangeLayoutError::OtherTopic {
            setting: "kafka.results_topic",
            found: found.topic.clone(),
            expected: kept.to_owned(),
        });
    }
    check_not_more(found, wanted)
}

fn check_not_more(found: &TopicDescription, wanted: usize) -> Result<(), ChangeLayoutError> {
    match found.partition_count {
        Some(count) if count > wanted => Err(ChangeLayoutError::TopicHasMore {
            topic: found.topic.clone(),
            count,
        }),
        _ => Ok(()),
    }
}
