//! Whether the topic is the one that the layout and the stored offset speak of. Pure.

use crate::port::event_topic::{LogBounds, TopicDescription};
use crate::port::layout_store::StoredLayout;
use crate::port::record_source::InboundRecord;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::record_digest::RecordDigest;

/// Why nobody may lead on what the broker shows. The texts say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "the topic {topic} does not exist on this cluster; is kafka pointed at the right \
         cluster? If it is and the topic is lost, `bootstrap layout adopt-topic` makes it anew with \
         {partitions} partitions and publishes again what was logged and never decided"
    )]
    NoTopic { topic: String, partitions: usize },
    #[error(
        "the topic {topic} has {found} partitions and the layout {expected}; somebody else \
         changed one of them. With more partitions than the layout, `bootstrap layout raise \
         {found}` brings the layout up; with fewer, restore the topic, or adopt a new one of \
         {expected} partitions by `bootstrap layout adopt-topic`"
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
        "kafka.results_topic is {found}; the layout's is {expected}, and whoever reads results reads \
         that one: set the topic of the layout"
    )]
    OtherResultsTopic { found: String, expected: String },
    #[error(
        "this is Kafka cluster {found}; the layout was made for {expected}. Stored offsets mean \
         nothing here: point kafka at the cluster of the layout or, when this one replaces it for \
         good, run `bootstrap layout adopt-topic`"
    )]
    OtherCluster { found: String, expected: String },
    #[error(
        "the log of partition {partition} begins at offset {start}, after the stored offset \
         {stored}: records were deleted before they were processed. Raise the topic's retention; \
         the events are still in the change log as INIT: `bootstrap layout adopt-topic --partition \
         {partition}` lets the relay publish them again"
    )]
    BeginsAfter {
        partition: PartitionId,
        start: Offset,
        stored: Offset,
    },
    #[error(
        "the log of partition {partition} ends at offset {end}, before the stored offset \
         {stored}: the topic was made anew or lost records. Offsets of one log mean nothing in \
         another: restore the topic as it was or, when it is lost for good, run `bootstrap layout \
         adopt-topic`"
    )]
    EndsBefore {
        partition: PartitionId,
        end: Offset,
        stored: Offset,
    },
    #[error(
        "the record of partition {partition} before the stored offset {stored} is not the one that \
         was processed: the topic was made anew, or its records were replaced. Restore the topic \
         as it was or, when it is lost for good, run `bootstrap layout adopt-topic`"
    )]
    OtherRecord {
        partition: PartitionId,
        stored: Offset,
    },
}

/// Compares the result topic of the settings with the layout.
///
/// # Errors
/// [`Refusal`]: lead nothing here.
pub(super) fn check_results_topic(stored: &StoredLayout, configured: &str) -> Result<(), Refusal> {
    let other = stored.other_results_topic(configured);
    other.map_or(Ok(()), |expected| {
        Err(Refusal::OtherResultsTopic {
            found: configured.to_owned(),
            expected: expected.to_owned(),
        })
    })
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
    if let Some((expected, found)) = stored.other_cluster(found.cluster_id.as_deref()) {
        return Err(Refusal::OtherCluster {
            found: found.to_owned(),
            expected: expected.to_owned(),
        });
    }
    let expected = stored.layout.partition_count();
    match found.partition_count {
        None => Err(Refusal::NoTopic {
            topic: stored.events_topic.clone(),
            partitions: expected,
        }),
        // The topic grows before the layout does.
        Some(found) if !stored.allows_topic_of(found) => Err(Refusal::OtherPartitionCount {
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

/// Where the last processed record must lie, if there is one to compare: `None` when nothing was
/// processed, when no digest was stored, or when retention has removed it.
pub(super) fn record_to_compare(
    stored: Offset,
    digest: Option<RecordDigest>,
    log: LogBounds,
) -> Option<(Offset, RecordDigest)> {
    let before = stored.previous()?;
    (before >= log.start).then_some((before, digest?))
}

/// Compares what lies before the stored offset with what was processed there; `None` when the log
/// holds no record there any more.
///
/// # Errors
/// [`Refusal`]: don't lead this partition.
pub(super) fn check_record(
    partition: PartitionId,
    stored: Offset,
    processed: RecordDigest,
    found: Option<&InboundRecord>,
) -> Result<(), Refusal> {
    match found {
        Some(record) if RecordDigest::of(&record.key, &record.payload) == processed => Ok(()),
        _ => Err(Refusal::OtherRecord { partition, stored }),
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
    fn a_topic_that_a_raise_has_grown_for_its_layout_to_come_is_led_on() {
        let raising = StoredLayout {
            grown_to: Some(6),
            ..stored_layout()
        };
        for (count, leads) in [(3, false), (4, true), (5, true), (6, true), (7, false)] {
            let found = TopicDescription {
                topic: raising.events_topic.clone(),
                cluster_id: raising.cluster_id.clone(),
                partition_count: Some(count),
            };
            assert_eq!(check_topic(&raising, &found).is_ok(), leads, "{count}");
        }
    }

    #[test]
    fn results_go_to_the_layouts_topic_or_nobody_leads() {
        let older = StoredLayout {
            results_topic: None,
            ..stored_layout()
        };
        assert_eq!(check_results_topic(&stored_layout(), "axs.results"), Ok(()));
        assert_eq!(check_results_topic(&older, "axs.others"), Ok(()));
        let refused = check_results_topic(&stored_layout(), "axs.others");
        let text = refused.unwrap_err().to_string();
        for words in ["kafka.results_topic is axs.others", "axs.results"] {
            assert!(text.contains(words), "{text}");
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

    #[test]
    fn the_last_processed_record_is_compared_where_the_log_still_has_it() {
        let offset = |value| Offset::try_new(value).unwrap();
        let digest = RecordDigest::of(b"1", b"one");
        // stored, digest, log start, compared at
        let rows = [
            (0, Some(digest), 0, None),
            (1, Some(digest), 0, Some(0)),
            (1, None, 0, None),
            (9, Some(digest), 8, Some(8)),
            (9, Some(digest), 9, None),
        ];
        for (stored, digest, start, expected) in rows {
            let log = LogBounds {
                start: offset(start),
                end: offset(20),
            };
            let found = record_to_compare(offset(stored), digest, log);
            assert_eq!(
                found.map(|(at, _)| at.value()),
                expected,
                "{stored} {start}"
            );
        }
    }

    #[test]
    fn another_record_or_none_in_its_place_is_refused_and_adopting_is_named() {
        let stored = Offset::try_new(3).unwrap();
        let record = |payload: &'static str| InboundRecord {
            offset: Offset::try_new(2).unwrap(),
            key: "1".into(),
            payload: payload.into(),
        };
        let processed = RecordDigest::of(b"1", b"one");
        let check = |found: Option<&InboundRecord>| {
            check_record(PartitionId::MIN, stored, processed, found)
        };
        assert_eq!(check(Some(&record("one"))), Ok(()));
        for found in [Some(&record("other")), None] {
            let text = check(found).unwrap_err().to_string();
            assert!(
                text.contains("made anew") && text.contains("adopt-topic"),
                "{text}"
            );
        }
    }
}
