//! Making the layout, once: pools of shards over the partitions of the topic. The result topic is
//! made beside it.

mod check;
mod error;

pub use error::MakeLayoutError;

use super::detached::run_detached;
use crate::port::event_topic::{BrokerError, EventTopic, TopicDescription};
use crate::port::installation::Installation;
use crate::port::layout_change::PartitionStart;
use crate::port::layout_store::{LayoutStore, StoredLayout};
use crate::port::result_topic::ResultTopic;
use crate::port::store_error::StoreError;
use crate::port::topic_claims::{TopicClaim, TopicClaims};
use async_trait::async_trait;
use axs_domain::layout::{Layout, PoolSpec};
use check::{
    EVENTS_SETTING, RESULTS_SETTING, check_count, check_results_topic, difference, records_of,
};
use shaku::{Component, Interface};
use std::sync::Arc;
use std::time::Duration;

/// How often the brokers are asked for a topic that was just made, until they tell of its
/// partitions.
const TOLD_LOOKS_MAX: usize = 50;

/// The pause between two looks.
const TOLD_PAUSE: Duration = Duration::from_millis(100);

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutPlan {
    /// The pools in the order of their shards.
    pub pools: Vec<PoolSpec>,
    /// The events topic, the one that the topic's adapter is set to.
    pub events_topic: String,
    /// Whether topics that hold records already are taken: they are led from their ends on, and
    /// what is on them is not read.
    pub adopts_records: bool,
    /// Whether the topics are claimed for this database, so that no other is laid out on them
    /// before they hold records.
    pub claims_topics: bool,
}

/// Whether and how topics are claimed for this database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claiming {
    /// They are not.
    Nothing,
    /// Unless another database has claimed them.
    Unclaimed,
    /// Whoever has claimed them.
    Everything,
}

impl LayoutPlan {
    const fn claiming(&self) -> Claiming {
        match (self.claims_topics, self.adopts_records) {
            (false, _) => Claiming::Nothing,
            (true, false) => Claiming::Unclaimed,
            (true, true) => Claiming::Everything,
        }
    }
}

/// The layout that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutMade {
    /// The layout.
    pub layout: StoredLayout,
    /// Whether this call made it; false when it stood before, as planned or raised since.
    pub created: bool,
    /// Whether this call made the topic.
    pub topic_created: bool,
    /// The result topic, with as many partitions.
    pub results_topic: String,
    /// Whether this call made the result topic.
    pub results_topic_created: bool,
}

/// Makes the layout.
///
/// # Contract
/// - Made once. Making it again with the same plan changes nothing, also after raises; with another
///   one it is refused.
/// - A topic that holds records before there is a layout, or that another database claims, is taken
///   only by a plan that says so.
/// - The topic and the result topic exist with exactly the layout's partitions before the layout is
///   stored.
/// - A result topic that is missing is made, also for a layout that stands: what was on it is no
///   fact that AXS lives by. A layout that was made before its result topic was kept keeps the one
///   that is set now.
///
/// # Errors
/// [`MakeLayoutError`]; after each of them the same call may be made again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait MakeLayout: Interface {
    /// Makes the layout of this plan, and each topic when it does not exist.
    async fn make(&self, plan: LayoutPlan) -> Result<LayoutMade, MakeLayoutError>;
}

/// Makes the layout in the store, for the broker's topic.
#[derive(Component)]
#[shaku(interface = MakeLayout)]
pub struct LayoutMaking {
    #[shaku(inject)]
    layouts: Arc<dyn LayoutStore>,
    #[shaku(inject)]
    topic: Arc<dyn EventTopic>,
    #[shaku(inject)]
    results: Arc<dyn ResultTopic>,
    #[shaku(inject)]
    claims: Arc<dyn TopicClaims>,
    #[shaku(inject)]
    installation: Arc<dyn Installation>,
}

impl LayoutMaking {
    /// A making over this store, these topics and the claims to them.
    #[must_use]
    pub fn new(
        layouts: Arc<dyn LayoutStore>,
        topic: Arc<dyn EventTopic>,
        results: Arc<dyn ResultTopic>,
        claims: Arc<dyn TopicClaims>,
        installation: Arc<dyn Installation>,
    ) -> Self {
        Self {
            layouts,
            topic,
            results,
            claims,
            installation,
        }
    }

    /// The layout, which the store has just said to stand.
    async fn load_standing(&self) -> Result<StoredLayout, MakeLayoutError> {
        let standing = self.layouts.load().await?;
        let gone = || StoreError::Corrupt {
            store: "the layout store".to_owned(),
            reason: "it changes nothing because a layout stands, and has none".to_owned(),
        };
        Ok(standing.ok_or_else(gone)?)
    }

    /// A layout that stands must be the planned one, and its topic must be there as it was.
    async fn check_standing(
        &self,
        mut standing: StoredLayout,
        planned: &StoredLayout,
        claiming: Claiming,
    ) -> Result<LayoutMade, MakeLayoutError> {
        if let Some(difference) = difference(&standing, planned) {
            return Err(MakeLayoutError::OtherLayoutStands { difference });
        }
        let topic = self.topic.describe().await?;
        if let Some((expected, found)) = standing.other_cluster(topic.cluster_id.as_deref()) {
            return Err(MakeLayoutError::OtherCluster {
                expected: expected.to_owned(),
                found: found.to_owned(),
            });
        }
        match topic.partition_count {
            None => Err(MakeLayoutError::TopicGone {
                topic: standing.events_topic,
            }),
            Some(found) => {
                if let Some(count) = standing.grown_to {
                    return Err(MakeLayoutError::RaiseUnfinished { count });
                }
                check_count(&standing, &standing.events_topic, EVENTS_SETTING, found)?;
                let (results_topic_created, results_topic) =
                    self.ensure_results_topic(&standing).await?;
                if standing.results_topic.is_none() {
                    let topics = [(results_topic.as_str(), RESULTS_SETTING)];
                    self.claim_topics(&topics, claiming).await?;
                    let topic = results_topic.clone();
                    if self.layouts.keep_results_topic(topic).await? {
                        standing.results_topic = Some(results_topic.clone());
                    } else {
                        // Another operator was faster.
                        standing = self.load_standing().await?;
                        check_results_topic(&standing, &results_topic)?;
                    }
                }
                Ok(LayoutMade {
                    layout: standing,
                    created: false,
                    topic_created: false,
                    results_topic,
                    results_topic_created,
                })
            }
        }
    }

    /// Makes the topic unless it is there; gives whether it did, and the cluster's id.
    async fn ensure_topic(
        &self,
        planned: &StoredLayout,
    ) -> Result<(bool, Option<String>), MakeLayoutError> {
        let described = self.topic.describe().await?;
        if let Some(found) = described.partition_count {
            check_count(planned, &planned.events_topic, EVENTS_SETTING, found)?;
            return Ok((false, described.cluster_id));
        }
        let count = planned.layout.partition_count();
        let created = self.topic.create(count).await?;
        // Somebody else may have made it meanwhile, with another number.
        let (described, found) = until_told(|| self.topic.describe()).await?;
        check_count(planned, &planned.events_topic, EVENTS_SETTING, found)?;
        Ok((created, described.cluster_id))
    }

    /// Where the partitions of a topic that was there are to be read: nowhere in particular when
    /// nothing was ever written to it, or else at their ends.
    async fn starts_of_events(
        &self,
        planned: &StoredLayout,
        adopts: bool,
    ) -> Result<Vec<PartitionStart>, MakeLayoutError> {
        let mut logs = Vec::new();
        for partition in planned.layout.partitions() {
            logs.push((partition, self.topic.bounds(partition).await?));
        }
        if let Some(refused) = records_of(&planned.events_topic, EVENTS_SETTING, &logs)
            && !adopts
        {
            return Err(refused);
        }
        let written = logs.into_iter().filter(|(_, log)| log.end.value() > 0);
        Ok(written
            .map(|(partition, log)| PartitionStart {
                partition,
                offset: log.end,
            })
            .collect())
    }

    /// Refuses a result topic that holds results already: this database has given none.
    async fn check_no_results(
        &self,
        planned: &StoredLayout,
        topic: &str,
    ) -> Result<(), MakeLayoutError> {
        let mut logs = Vec::new();
        for partition in planned.layout.partitions() {
            logs.push((partition, self.results.bounds(partition).await?));
        }
        records_of(topic, RESULTS_SETTING, &logs).map_or(Ok(()), Err)
    }

    /// Claims topics, with the settings that name them, for this database: one without records may
    /// have been laid out on before.
    async fn claim_topics(
        &self,
        topics: &[(&str, &'static str)],
        claiming: Claiming,
    ) -> Result<(), MakeLayoutError> {
        if claiming == Claiming::Nothing {
            return Ok(());
        }
        let claimant = self.installation.claimant().await?;
        for &(topic, setting) in topics {
            let (name, by) = (topic.to_owned(), claimant.clone());
            let claimed = if claiming == Claiming::Everything {
                let taken = self.claims.take_over(name, by).await;
                taken.map(|()| TopicClaim::Own)
            } else {
                self.claims.claim(name, by).await
            };
            match claimed {
                Ok(TopicClaim::Own) => {}
                Ok(TopicClaim::Foreign(claimant)) => {
                    return Err(MakeLayoutError::TopicClaimed {
                        topic: topic.to_owned(),
                        setting,
                        claimant,
                    });
                }
                Err(failure) => {
                    return Err(MakeLayoutError::NotClaimed {
                        topic: topic.to_owned(),
                        failure,
                    });
                }
            }
        }
        Ok(())
    }

    /// Makes the result topic unless it is there; gives whether it did, and the topic's name.
    async fn ensure_results_topic(
        &self,
        layout: &StoredLayout,
    ) -> Result<(bool, String), MakeLayoutError> {
        let described = self.results.describe().await?;
        check_results_topic(layout, &described.topic)?;
        if let Some(found) = described.partition_count {
            check_count(layout, &described.topic, RESULTS_SETTING, found)?;
            return Ok((false, described.topic));
        }
        let created = self.results.create(layout.layout.partition_count()).await?;
        let (described, found) = until_told(|| self.results.describe()).await?;
        check_count(layout, &described.topic, RESULTS_SETTING, found)?;
        Ok((created, described.topic))
    }
}

/// What the brokers tell of a topic that was just made, and of how many partitions: asked again
/// while they don't, since each broker learns of it in its own time.
async fn until_told<F>(
    describe: impl Fn() -> F,
) -> Result<(TopicDescription, usize), MakeLayoutError>
where
    F: Future<Output = Result<TopicDescription, BrokerError>>,
{
    let mut described = describe().await?;
    for _ in 1..TOLD_LOOKS_MAX {
        if described.partition_count.unwrap_or(0) > 0 {
            break;
        }
        tokio::time::sleep(TOLD_PAUSE).await;
        described = describe().await?;
    }
    match described.partition_count {
        Some(count @ 1..) => Ok((described, count)),
        _ => Err(MakeLayoutError::NotToldYet {
            topic: described.topic,
        }),
    }
}

#[async_trait]
impl MakeLayout for LayoutMaking {
    async fn make(&self, plan: LayoutPlan) -> Result<LayoutMade, MakeLayoutError> {
        let claiming = plan.claiming();
        let mut planned = StoredLayout {
            layout: Layout::lay_out(&plan.pools)?,
            events_topic: plan.events_topic,
            results_topic: None,
            cluster_id: None,
            grown_to: None,
        };
        if let Some(standing) = self.layouts.load().await? {
            return self.check_standing(standing, &planned, claiming).await;
        }
        let (topic_created, cluster_id) = self.ensure_topic(&planned).await?;
        planned.cluster_id = cluster_id;
        let starts = if topic_created {
            Vec::new()
        } else {
            self.starts_of_events(&planned, plan.adopts_records).await?
        };
        let (results_topic_created, results_topic) = self.ensure_results_topic(&planned).await?;
        planned.results_topic = Some(results_topic.clone());
        if !results_topic_created && !plan.adopts_records {
            self.check_no_results(&planned, &results_topic).await?;
        }
        // After the looks at the records: an attempt that is refused for them claims nothing. And
        // whoever writes a record after those looks was laid out, and so has claimed, before this.
        let topics = [
            (planned.events_topic.as_str(), EVENTS_SETTING),
            (results_topic.as_str(), RESULTS_SETTING),
        ];
        self.claim_topics(&topics, claiming).await?;
        let (layouts, stored) = (Arc::clone(&self.layouts), planned.clone());
        if run_detached(async move { layouts.create(stored, starts).await }).await? {
            return Ok(LayoutMade {
                layout: planned,
                created: true,
                topic_created,
                results_topic,
                results_topic_created,
            });
        }
        // Another operator was faster.
        let standing = self.load_standing().await?;
        self.check_standing(standing, &planned, claiming).await
    }
}

#[cfg(test)]
mod tests;
