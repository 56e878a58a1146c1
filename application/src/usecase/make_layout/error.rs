//! Why no layout is made.

use crate::port::event_topic::BrokerError;
use crate::port::store_error::StoreError;
use crate::port::topic_claims::Claimant;
use axs_domain::layout::LayoutError;

/// Why no layout was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MakeLayoutError {
    /// The plan can't be laid out.
    #[error(transparent)]
    Plan(#[from] LayoutError),
    /// Another layout stands. It is never replaced: accounts live by it.
    #[error("another layout stands already: {difference}")]
    OtherLayoutStands {
        /// What differs, with both values.
        difference: String,
    },
    /// The topic, or the result topic, is not what the layout needs. Nothing was stored.
    #[error("topic {topic} ({setting}) has {found} partitions; the layout needs {expected}")]
    PartitionCountDiffers {
        /// The topic.
        topic: String,
        /// The setting that names it.
        setting: &'static str,
        /// Its partitions.
        found: usize,
        /// Partitions of the plan.
        expected: usize,
    },
    /// A topic that is there was written to before there was a layout, so by somebody else. Nothing
    /// was stored.
    #[error(
        "topic {topic} is not new: {written} records were written to it, {kept} of which it still holds, \
         and this database has no layout yet, so they are another one's. Name another topic by \
         {setting}; or, when nobody else uses this one any more, take it by --adopt-records: it is then \
         led from its end on, and what is on it is not read"
    )]
    TopicHoldsRecords {
        /// The topic.
        topic: String,
        /// The setting that names it.
        setting: &'static str,
        /// Records up to the ends of its partitions.
        written: u64,
        /// Those that retention has left.
        kept: u64,
    },
    /// Another database has claimed the topic, and may be laid out on it although it holds no
    /// record yet. Nothing was stored.
    #[error(
        "topic {topic} is claimed by {claimant}. Name another topic by {setting}; or, when that database \
         does not use it, take this one by --adopt-records"
    )]
    TopicClaimed {
        /// The topic.
        topic: String,
        /// The setting that names it.
        setting: &'static str,
        /// The other database.
        claimant: Claimant,
    },
    /// The brokers did not take the claim. Nothing was stored.
    #[error(
        "topic {topic} can't be claimed for this database: {failure}. Where the brokers have no \
         transactions, or this client may not use any, --unclaimed leaves the claim out"
    )]
    NotClaimed {
        /// The topic.
        topic: String,
        /// What failed.
        failure: BrokerError,
    },
    /// The topics grew for a raise that did not become the layout's.
    #[error(
        "a raise to {count} partitions was not finished: `bootstrap layout raise {count}` finishes it"
    )]
    RaiseUnfinished {
        /// Partitions of that raise.
        count: usize,
    },
    /// The brokers took the topic and tell of no partitions yet. Making it again settles it.
    #[error(
        "topic {topic} was made, and the brokers don't tell of its partitions yet; run it again"
    )]
    NotToldYet {
        /// The topic.
        topic: String,
    },
    /// The layout stands but its topic is gone: the events on it are lost with it. Restore it, or
    /// let an operator decide from the log; nothing is made anew in silence.
    #[error("the layout stands, but topic {topic} does not exist any more")]
    TopicGone {
        /// The topic.
        topic: String,
    },
    /// The layout was made for another cluster.
    #[error(
        "the layout was made for Kafka cluster {expected}, but the broker is of cluster {found}"
    )]
    OtherCluster {
        /// The layout's cluster.
        expected: String,
        /// The broker's cluster.
        found: String,
    },
    /// The broker is away.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The store is away. Making it again settles what is unknown.
    #[error(transparent)]
    Store(#[from] StoreError),
}
