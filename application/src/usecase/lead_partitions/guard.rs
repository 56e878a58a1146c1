//! Whether the topic is the one that the layout and the stored offset speak of. Pure.

use crate::port::event_topic::{LogBounds, TopicDescription};
use crate::port::layout_store::StoredLayout;
use axs_domain::id::{Offset, PartitionId};

/// Why nobody may lead on what the broker shows. The texts say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "the topic {topic} does not exist on this cluster; is kafka pointed at the right \
         cluster? If it is, make the topic with {partitions} partitions"
    )]
    NoTopic { topic: String, partitions: usize },
    #[error(
        "the topic {topic} has {found} partitions and the layout {expected}; somebody else \
         changed one of them. Partitions are raised by the layout's own command, which drains first"
    )]
    OtherPartitionCount {
        topic: String,
        found: usize,
        expected: usize,
    },
    #[error(
        "kafka.events_topic is {found}; the layout was made for {expected}. Stored offsets mean \
         nothing there: set the topic of the layout"
    )]
    OtherTopic { found: String, expected: String },
    #[error(
        "this is Kafka cluster {found}; the layout was made for {expected}. Stored offsets mean \
         nothing here: point kafka at the cluster of the layout"
    )]
    OtherCluster { found: String, expected: String },
    #[error(
        "the log of partition {partition} begins at offset {start}, after the stored offset \
         {stored}: records were deleted before they were processed. Raise the topic's retention; \
         the events are still in the change log as INIT, so set the stored offset to {start} and \
         the relay publishes them again"
    )]
    BeginsAfter {
        partition: PartitionId,
        start: Offset,
        stored: Offset,
    },
    #[error(
        "the log of partition {partition} ends at offset {end}, before the stored offset \
         {stored}: the topic was made anew or lost records. Restore the \
         topic as it was; offsets of one log mean nothing in another"
    )]
    EndsBefore {
        partition: PartitionId,
        end: Offset,
        stored: Offset,
    },
}

/// Compares the broker's topic with the layout.
///
/// # Errors
/// [`Refusal`]: lead nothing here.
pub(super) fn check_topic(stored: &StoredLayout, found: &TopicDescription) -> Result<(), Refusal> {
    if stored.events_topic != found.topic {
        return Err(Refusal::OtherTopic {
            found: found.topic.clone(),
            expected: stored.events_topic.clone(),
        });
    }
    // Only two known ids can differ: brokers too old to give one must not stop everything.
    if let (Some(expected), Some(found)) = (&stored.cluster_id, &found.cluster_id)
        && expected != found
    {
        return Err(Refusal::OtherCluster {
            found: found.clone(),
            expected: expected.clone(),
        });
    }
    let expected = stored.layout.partition_count();
    match found.partition_count {
        None => Err(Refusal::NoTopic {
            topic: stored.events_topic.clone(),
            partitions: expected,
        }),
        Some(found) if found != expected => Err(Refusal::OtherPartitionCount {
            topic: stored.events_topic.clone(),
            found,
            expected,
        }),
        Some(_) => Ok(()),
    }
}

/// Compares a partition's log with the stored offset.
///
/// # Errors
/// [`Refusal`]: don't lead this partition.
pub(super) fn check_bounds(
    partition: PartitionId,
    stored: Offset,
    log: LogBounds,
) -> Result<(), Refusal> {
    if stored < log.start {
        Err(Refusal::BeginsAfter {
            partition,
            start: log.start,
            stored,
        })
    } else if stored > log.end {
        Err(Refusal::EndsBefore {
            partition,
            end: log.end,
            stored,
        })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::stored_layout;

    #[test]
    fn only_the_topic_of_the_layout_is_led_on() {
        let named = |cluster: Option<&str>, partition_count| TopicDescription {
            topic: stored_layout().events_topic,
            cluster_id: cluster.map(str::to_owned),
            partition_count,
        };
        let rows = [
            (named(Some("cluster-1"), Some(4)), None),
            (named(None, Some(4)), None),
            (
                TopicDescription {
                    topic: "another".to_owned(),
                    ..named(Some("cluster-1"), Some(4))
                },
                Some("set the topic of the layout"),
            ),
            (
                named(Some("cluster-2"), Some(4)),
                Some("point kafka at the cluster"),
            ),
            (named(Some("cluster-1"), None), Some("does not exist")),
            (
                named(Some("cluster-1"), Some(3)),
                Some("3 partitions and the layout 4"),
            ),
            (
                named(Some("cluster-1"), Some(5)),
                Some("5 partitions and the layout 4"),
            ),
        ];
        for (found, refusal) in rows {
            let checked = check_topic(&stored_layout(), &found);
            match refusal {
                None => assert_eq!(checked, Ok(()), "{found:?}"),
                Some(words) => {
                    let text = checked.unwrap_err().to_string();
                    assert!(text.contains(words), "{text}");
                }
            }
        }
    }

    #[test]
    fn the_stored_offset_must_lie_within_the_log_both_ends_included() {
        let offset = |value| Offset::try_new(value).unwrap();
        let rows = [
            (0, 0, 0, None),
            (5, 9, 5, None),
            (5, 9, 9, None),
            (5, 9, 4, Some("begins at offset 5")),
            (5, 9, 10, Some("ends at offset 9")),
            (0, 0, 1, Some("ends at offset 0")),
        ];
        for (start, end, stored, refusal) in rows {
            let log = LogBounds {
                start: offset(start),
                end: offset(end),
            };
            let checked = check_bounds(PartitionId::MIN, offset(stored), log);
            match refusal {
                None => assert_eq!(checked, Ok(())),
                Some(words) => {
                    let text = checked.unwrap_err().to_string();
                    assert!(text.contains(words), "{text}");
                }
            }
        }
    }
}
