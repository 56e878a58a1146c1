//! Whether layout and topics are what was planned. Pure.

use super::MakeLayoutError;
use crate::port::event_topic::LogBounds;
use crate::port::layout_store::StoredLayout;
use axs_domain::id::PartitionId;
use axs_domain::layout_raise::has_grown_from;

/// The settings that name the topics.
pub(super) const EVENTS_SETTING: &str = "kafka.events_topic";
pub(super) const RESULTS_SETTING: &str = "kafka.results_topic";

/// Refuses a topic that has not the layout's partitions.
pub(super) fn check_count(
    layout: &StoredLayout,
    topic: &str,
    setting: &'static str,
    found: usize,
) -> Result<(), MakeLayoutError> {
    let expected = layout.layout.partition_count();
    if found == expected {
        return Ok(());
    }
    Err(MakeLayoutError::PartitionCountDiffers {
        topic: topic.to_owned(),
        setting,
        found,
        expected,
    })
}

/// Refuses another result topic than the layout's, if it has one.
pub(super) fn check_results_topic(
    layout: &StoredLayout,
    topic: &str,
) -> Result<(), MakeLayoutError> {
    let Some(kept) = layout.other_results_topic(topic) else {
        return Ok(());
    };
    let difference = format!("its result topic is {kept}, and {RESULTS_SETTING} is {topic}");
    Err(MakeLayoutError::OtherLayoutStands { difference })
}

/// What was written to a topic, when something was.
pub(super) fn records_of(
    topic: &str,
    setting: &'static str,
    logs: &[(PartitionId, LogBounds)],
) -> Option<MakeLayoutError> {
    let sum = |count: fn(&LogBounds) -> i64| -> u64 {
        let counts = logs.iter().map(|(_, log)| count(log));
        counts.filter_map(|count| u64::try_from(count).ok()).sum()
    };
    let written = sum(|log| log.end.value());
    (written > 0).then(|| MakeLayoutError::TopicHoldsRecords {
        topic: topic.to_owned(),
        setting,
        written,
        kept: sum(|log| log.end.value() - log.start.value()),
    })
}

/// What differs between two layouts apart from epoch and cluster, which nobody plans.
pub(super) fn difference(standing: &StoredLayout, planned: &StoredLayout) -> Option<String> {
    if standing.events_topic != planned.events_topic {
        return Some(format!(
            "its topic is {}, and {EVENTS_SETTING} is {}",
            standing.events_topic, planned.events_topic
        ));
    }
    let (a, b) = (&standing.layout, &planned.layout);
    if has_grown_from(a, b) {
        return None;
    }
    if a.partition_count() != b.partition_count() {
        return Some(format!(
            "it has {} partitions, not {}",
            a.partition_count(),
            b.partition_count()
        ));
    }
    if a.shards().len() != b.shards().len() {
        return Some(format!(
            "it has {} shards, not {}",
            a.shards().len(),
            b.shards().len()
        ));
    }
    let mut pairs = a.shards().iter().zip(b.shards());
    pairs.find(|(a, b)| a != b).map(|(a, b)| {
        format!(
            "its shard {} is of pool {} on partition {}, not of pool {} on partition {}",
            a.shard_id, a.pool, a.partition, b.pool, b.partition
        )
    })
}
