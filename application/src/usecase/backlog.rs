//! How much waits on the topic for its decision, and the bound on it.
//!
//! The backlog of a partition is what stands on the topic behind the stored offset: the newest
//! offset that this process knows to be published, less the offset up to which the leader has
//! decided. The newest offset is told by this process's own delivery reports, and by the broker
//! once for a partition to which it has not published yet; what other processes publish meanwhile
//! shows at this one's next report. Stored offsets are read from PostgreSQL. When they can't be
//! read, the last known ones count: the backlog then only grows, so the bound errs on the safe
//! side. As long as either is unknown there is no bound; the publish window still holds.
//!
//! | metric | what it measures |
//! |---|---|
//! | `axs_backlog_events` | undecided records, by `partition`, as of the last refresh |
//! | `axs_backlog_refresh_failures_total` | refreshes that could not read what they need |

use crate::port::event_topic::EventTopic;
use crate::port::partition_leadership::PartitionLeadership;
use async_trait::async_trait;
use axs_domain::id::{Offset, PartitionId};
use shaku::{Component, Interface};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// How long a refresh waits for the stored offsets.
const REFRESH_WAIT_MAX: Duration = Duration::from_secs(5);

/// The bound on undecided events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacklogSettings {
    /// Undecided records of one partition beyond which it takes nothing new; 1 or more.
    pub events_max: i64,
    /// After which time a refused client should try again.
    pub retry_after: Duration,
}

/// A partition has too much to decide. Nothing was logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{undecided} events of partition {partition} wait for their decision, and at most {max} may"
)]
pub struct BacklogFull {
    /// Which.
    pub partition: PartitionId,
    /// How many wait.
    pub undecided: i64,
    /// How many may.
    pub max: i64,
    /// The pause before the next try.
    pub retry_after: Duration,
}

/// Knows the backlog of each partition.
///
/// # Contract
/// - `check` and `note_published` never wait.
/// - A partition whose backlog is not known is never full.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait Backlog: Interface {
    /// A record of the partition stands on the topic at this offset.
    fn note_published(&self, partition: PartitionId, offset: Offset);

    /// Whether the partition takes more.
    ///
    /// # Errors
    /// [`BacklogFull`]: it does not, for now.
    fn check(&self, partition: PartitionId) -> Result<(), BacklogFull>;

    /// Reads the stored offsets, and the end of each partition that this process knows nothing of.
    /// What can't be read is told in the log, and what was known counts on.
    async fn refresh(&self);
}

/// One partition, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The offset behind the newest record.
    end: Option<Offset>,
    /// The stored offset.
    stored: Option<Offset>,
}

impl Known {
    fn undecided(self) -> Option<i64> {
        let (end, stored) = (self.end?, self.stored?);
        Some(end.value().saturating_sub(stored.value()).max(0))
    }
}

/// [`Backlog`] from delivery reports and the leaders' stored offsets.
#[derive(Component)]
#[shaku(interface = Backlog)]
pub struct PartitionBacklog {
    #[shaku(inject)]
    leadership: Arc<dyn PartitionLeadership>,
    #[shaku(inject)]
    topic: Arc<dyn EventTopic>,
    /// The bound.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: BacklogSettings,
    #[shaku(force_default)]
    known: Mutex<HashMap<PartitionId, Known>>,
}

impl PartitionBacklog {
    /// A backlog of which nothing is known yet.
    #[must_use]
    pub fn new(
        leadership: Arc<dyn PartitionLeadership>,
        topic: Arc<dyn EventTopic>,
        settings: BacklogSettings,
    ) -> Self {
        Self {
            leadership,
            topic,
            settings,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PartitionId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh_stored(&self) -> Result<(), String> {
        let asked = timeout(REFRESH_WAIT_MAX, self.leadership.leaders()).await;
        let leaders = asked.map_err(|_| "no answer in time".to_owned())?;
        let leaders = leaders.map_err(|error| error.to_string())?;
        let mut known = self.known();
        for leader in leaders {
            let known = known.entry(leader.partition).or_default();
            // Never by itself: an operator has set it back, maybe for another log. The end that was
            // known may be of the old one.
            if known
                .stored
                .is_some_and(|stored| leader.stored_offset < stored)
            {
                known.end = None;
            }
            known.stored = Some(leader.stored_offset);
        }
        Ok(())
    }

    /// Ends at the first partition that can't be asked: a broker that is away is away for all.
    async fn ask_for_ends(&self) -> Result<(), String> {
        let unknown: Vec<PartitionId> = {
            let known = self.known();
            let unknown = known.iter().filter(|(_, known)| known.end.is_none());
            unknown.map(|(partition, _)| *partition).collect()
        };
        for partition in unknown {
            let bounds = self.topic.bounds(partition).await;
            let end = bounds.map_err(|error| error.to_string())?.end;
            self.raise_end(partition, end);
        }
        Ok(())
    }

    fn raise_end(&self, partition: PartitionId, end: Offset) {
        let mut known = self.known();
        let known = known.entry(partition).or_default();
        known.end = known.end.max(Some(end));
    }

    fn report(&self) {
        for (partition, known) in self.known().iter() {
            if let Some(undecided) = known.undecided() {
                let partition = partition.to_string();
                metrics::gauge!("axs_backlog_events", "partition" => partition)
                    .set(f64::from(u32::try_from(undecided).unwrap_or(u32::MAX)));
            }
        }
    }
}

#[async_trait]
impl Backlog for PartitionBacklog {
    fn note_published(&self, partition: PartitionId, offset: Offset) {
        if let Ok(end) = Offset::try_new(offset.value().saturating_add(1)) {
            self.raise_end(partition, end);
        }
    }

    fn check(&self, partition: PartitionId) -> Result<(), BacklogFull> {
        let known = self.known().get(&partition).copied().unwrap_or_default();
        match known.undecided() {
            Some(undecided) if undecided >= self.settings.events_max => Err(BacklogFull {
                partition,
                undecided,
                max: self.settings.events_max,
                retry_after: self.settings.retry_after,
            }),
            _ => Ok(()),
        }
    }

    async fn refresh(&self) {
        for refreshed in [self.refresh_stored().await, self.ask_for_ends().await] {
            if let Err(reason) = refreshed {
                metrics::counter!("axs_backlog_refresh_failures_total").increment(1);
                tracing::warn!(reason, "the backlog was not refreshed");
            }
        }
        self.report();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::event_topic::{BrokerError, LogBounds, MockEventTopic};
    use crate::port::partition_leadership::{LeaderView, MockPartitionLeadership};
    use crate::testkit::away;
    use std::sync::atomic::{AtomicI64, Ordering};

    const MAX: i64 = 10;

    fn offset(value: i64) -> Offset {
        Offset::try_new(value).unwrap()
    }

    fn partition(number: i32) -> PartitionId {
        PartitionId::try_new(number).unwrap()
    }

    /// Stores that answer with the stored offset given, and are away when it is negative.
    fn leadership(stored: &Arc<AtomicI64>) -> MockPartitionLeadership {
        let stored = Arc::clone(stored);
        let mut leadership = MockPartitionLeadership::new();
        leadership.expect_leaders().returning(move || {
            let stored = stored.load(Ordering::SeqCst);
            if stored < 0 {
                return Err(away());
            }
            let view = |number| LeaderView {
                partition: partition(number),
                held_by: None,
                stored_offset: offset(stored),
            };
            Ok(vec![view(0), view(1)])
        });
        leadership
    }

    fn backlog(stored: &Arc<AtomicI64>, topic: MockEventTopic) -> PartitionBacklog {
        let settings = BacklogSettings {
            events_max: MAX,
            retry_after: Duration::from_secs(1),
        };
        PartitionBacklog::new(Arc::new(leadership(stored)), Arc::new(topic), settings)
    }

    fn empty_topic() -> MockEventTopic {
        let mut topic = MockEventTopic::new();
        topic.expect_bounds().times(2).returning(|_| {
            Ok(LogBounds {
                start: offset(0),
                end: offset(0),
            })
        });
        topic
    }

    #[tokio::test]
    async fn a_partition_is_full_from_its_bound_on_and_takes_again_once_the_leader_has_decided() {
        let stored = Arc::new(AtomicI64::new(0));
        let backlog = backlog(&stored, empty_topic());
        backlog.refresh().await;
        backlog.note_published(partition(0), offset(MAX - 2));
        assert_eq!(backlog.check(partition(0)), Ok(()));
        backlog.note_published(partition(0), offset(MAX - 1));
        let full = backlog.check(partition(0)).unwrap_err();
        assert_eq!((full.undecided, full.max), (MAX, MAX));
        assert_eq!(backlog.check(partition(1)), Ok(()), "another partition");
        // A report that comes late takes nothing back.
        backlog.note_published(partition(0), offset(0));
        assert!(backlog.check(partition(0)).is_err());
        stored.store(1, Ordering::SeqCst);
        backlog.refresh().await;
        assert_eq!(backlog.check(partition(0)), Ok(()));
    }

    #[tokio::test]
    async fn the_end_of_a_partition_not_published_to_is_asked_for_until_it_is_known() {
        let stored = Arc::new(AtomicI64::new(0));
        let mut topic = MockEventTopic::new();
        let mut asked = 0;
        topic.expect_bounds().times(3).returning(move |_| {
            asked += 1;
            if asked == 1 {
                return Err(BrokerError::Unavailable {
                    brokers: "nowhere".to_owned(),
                    reason: "refused".to_owned(),
                });
            }
            Ok(LogBounds {
                start: offset(0),
                end: offset(MAX),
            })
        });
        let backlog = backlog(&stored, topic);
        backlog.refresh().await;
        assert_eq!(backlog.check(partition(0)), Ok(()), "unknown is not full");
        for _ in 0..3 {
            backlog.refresh().await;
            assert!(backlog.check(partition(0)).is_err());
        }
    }

    #[tokio::test]
    async fn another_log_behind_the_partition_is_asked_for_its_end() {
        let stored = Arc::new(AtomicI64::new(5_000));
        let mut topic = MockEventTopic::new();
        topic.expect_bounds().times(2).returning(|_| {
            Ok(LogBounds {
                start: offset(0),
                end: offset(MAX - 1),
            })
        });
        let backlog = backlog(&stored, topic);
        for number in [0, 1] {
            backlog.note_published(partition(number), offset(5_000));
        }
        backlog.refresh().await;
        stored.store(0, Ordering::SeqCst);
        backlog.refresh().await;
        assert_eq!(backlog.check(partition(0)), Ok(()));
        backlog.note_published(partition(0), offset(MAX));
        assert!(backlog.check(partition(0)).is_err());
    }

    #[tokio::test]
    async fn while_stored_offsets_can_not_be_read_the_last_known_ones_count() {
        let stored = Arc::new(AtomicI64::new(5));
        let backlog = backlog(&stored, empty_topic());
        backlog.refresh().await;
        backlog.note_published(partition(0), offset(MAX + 4));
        assert!(backlog.check(partition(0)).is_err());
        stored.store(-1, Ordering::SeqCst);
        backlog.refresh().await;
        assert!(backlog.check(partition(0)).is_err());
    }
}
