//! The stored layout: the only map from shard to partition that anybody uses.

use super::layout_change::PartitionStart;
use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::layout::Layout;
use shaku::Interface;

/// The layout with the topic and the cluster that it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayout {
    /// Shards and partitions.
    pub layout: Layout,
    /// The events topic.
    pub events_topic: String,
    /// The result topic; `None` for a layout that was made before it was kept.
    pub results_topic: Option<String>,
    /// The id of the Kafka cluster that held the topic when the layout was made; `None` when the
    /// broker gave none. Another id later means another cluster: nobody may lead on it.
    pub cluster_id: Option<String>,
    /// How many partitions the topics may have already, when a raise went as far as to grow them
    /// and was not finished: they grow before the layout does, and no broker goes back.
    pub grown_to: Option<usize>,
}

impl StoredLayout {
    /// Whether the topic may have so many partitions: those of the layout, or more, as far as a
    /// raise that was not finished went.
    #[must_use]
    pub fn allows_topic_of(&self, partition_count: usize) -> bool {
        let standing = self.layout.partition_count();
        (standing..=self.grown_to.unwrap_or(standing)).contains(&partition_count)
    }

    /// The layout's cluster and the one found, when they differ. Only two known ids can: brokers
    /// too old to give one must not stop everything.
    #[must_use]
    pub fn other_cluster<'a>(&'a self, found: Option<&'a str>) -> Option<(&'a str, &'a str)> {
        let pair = self.cluster_id.as_deref().zip(found);
        pair.filter(|(expected, found)| expected != found)
    }

    /// The layout's result topic, when it is known and is not the one that `kafka.results_topic`
    /// names.
    #[must_use]
    pub fn other_results_topic(&self, configured: &str) -> Option<&str> {
        let kept = self.results_topic.as_deref();
        kept.filter(|kept| *kept != configured)
    }
}

/// Keeps the layout.
///
/// # Contract
/// - `create` stores the layout, one leader row and one lease row for each partition, and the
///   range partitions of the tables, all or nothing; it never replaces an existing layout.
/// - A partition without a start is read from offset 0.
///
/// # Errors
/// [`StoreError`].
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait LayoutStore: Interface {
    /// The layout, if one was made.
    async fn load(&self) -> Result<Option<StoredLayout>, StoreError>;

    /// Keeps the result topic of a layout that has none yet; gives whether it did. Of another one
    /// nothing changes.
    async fn keep_results_topic(&self, topic: String) -> Result<bool, StoreError>;

    /// Makes the layout, whose partitions are read from these starts; `false` when one existed
    /// already, which then stands unchanged.
    async fn create(
        &self,
        layout: StoredLayout,
        starts: Vec<PartitionStart>,
    ) -> Result<bool, StoreError>;
}
