//! Logging by group commit: what many requests bring at one time is written in one transaction.
//!
//! One task of a process gathers what waits, in the order of arrival. While a transaction is under
//! way, the next one gathers; after it, those that it answered have a moment to send again, as long
//! as it took and `GATHERING_MAX` at most. Who was alone, or comes later, meets no delay: an idle
//! system answers after one commit, and a busy one fills its commits.
//!
//! Where so much waits that it is worth a transaction of its own (many events, or half of many
//! callers), a second one is under way beside the first: the database then works while this process
//! answers, and two commits share one wait for the disk. No commit begins beside another that
//! shares a key with it. What both wrote is handed to publishing, and then answered, in the order
//! in which they were gathered, however they end. So of two calls, the second made after the answer
//! to the first, the first has its events published first, and they stand in that order in the log
//! too (`logged_at`, `log_id`), by which the relay publishes. Which of two calls at one time comes
//! first, nobody promises.
//!
//! The layout by which events are placed on partitions is checked by the transaction itself. When
//! it has been raised since, the events are placed anew and written again; while it is being
//! changed, they are refused. So is the history of the database in which their accounts were looked
//! up: in another one an account may live elsewhere, so the callers are told to look it up again.
//! One transaction holds events of one history.
//!
//! | metric | what it measures |
//! |---|---|
//! | `axs_log_commit_seconds` | one transaction, failed ones included |
//! | `axs_log_commit_events` | events of one transaction |

mod appender;
mod commit_loop;
mod pace;
mod placing;

use super::ack_level::AckLevel;
use super::incarnation_lookup::IncarnationLookup;
use super::layout_lookup::LayoutLookup;
use super::publish_events::{Publication, PublishEvents, ReserveError, WindowPlaces};
use super::vital_tasks::{VitalTasks, vital};
use crate::port::change_log::{ChangeLog, ChangeLogKey, ChangeLogRecord};
use crate::port::event_codec::EventCodec;
use crate::port::log_id_generator::LogIdGenerator;
use appender::Appender;
use async_trait::async_trait;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{LayoutEpoch, LogId, PartitionId};
use axs_domain::incarnation::Incarnation;
use axs_domain::time::Timestamp;
use bytes::Bytes;
use commit_loop::{CommitLoop, Gathered, HANDED_OVER_MAX};
use futures::stream::FuturesOrdered;
use lru::LruCache;
use pace::Pace;
use shaku::{Component, Interface};
use std::collections::VecDeque;
use std::hash::RandomState;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bounds of the group commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// Events written by one transaction; 1 or more. A request is never split, so one that is
    /// larger is written alone.
    pub commit_events_max: usize,
    /// After which time a client that was refused during a change of the layout should try again.
    pub retry_after: Duration,
}

/// A checked event that is to be logged.
#[derive(Debug, Clone)]
pub struct ChangeToLog {
    /// Its key.
    pub key: ChangeLogKey,
    /// The fingerprint of its content.
    pub fingerprint: Fingerprint,
    /// The event.
    pub event: Arc<BalanceChangeEvent>,
    /// The event, encoded as it is kept.
    pub payload: Bytes,
    /// The partition that carries its shard.
    pub partition: PartitionId,
    /// The generation of the layout that said so.
    pub layout_epoch: LayoutEpoch,
    /// The history of the database in which its account was found.
    pub incarnation: Incarnation,
    /// The W3C trace context of its request.
    pub traceparent: Option<String>,
}

/// What became of an event.
#[derive(Debug)]
pub enum LogOutcome {
    /// It is committed to the log, now.
    Logged {
        /// The id of its row.
        log_id: LogId,
        /// PostgreSQL's time of writing.
        logged_at: Timestamp,
        /// Its way to the topic, for [`AckLevel::Published`].
        publication: Option<Publication>,
    },
    /// The account has a row with this key already.
    Known {
        /// The row.
        record: Box<ChangeLogRecord>,
        /// Its way to the topic, for [`AckLevel::Published`], when it is published again now.
        publication: Option<Publication>,
    },
    /// It is unknown whether the event is in the log. The same key sent again settles it.
    Unknown(String),
}

/// Why a request as a whole was not logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It is unknown whether the events are in the log. The same keys sent again settle it.
    #[error("{0}")]
    Unavailable(String),
    /// Too much waits for the topic. Nothing was logged.
    #[error("the backlog is full: {reason}")]
    BacklogFull {
        /// What is full, with its figures.
        reason: String,
        /// The pause before the next try.
        retry_after: Duration,
    },
    /// The layout is being changed. Nothing was logged.
    #[error("nothing is logged while the layout is changed")]
    Paused {
        /// The pause before the next try.
        retry_after: Duration,
    },
    /// The database has another history than the one in which the accounts were found. Nothing was
    /// logged. Look up again what the events were checked by.
    #[error("the database has another history than when the accounts were looked up")]
    HistoryMoved,
}

impl From<ReserveError> for LogError {
    fn from(error: ReserveError) -> Self {
        let reason = error.to_string();
        match error {
            ReserveError::Full { retry_after, .. } => Self::BacklogFull {
                reason,
                retry_after,
            },
            // Waiting here would not help; sending to another process does.
            ReserveError::Broken(_) => Self::Unavailable(reason),
        }
    }
}

/// Logs events, and hands those that are new to publishing.
///
/// # Contract
/// - Outcomes stand in the order of the arguments.
/// - Events of one call, and of calls each made after the answer to the one before, are logged and
///   published in that order.
/// - A caller that goes away once its events are taken changes nothing of what becomes of them.
///
/// # Errors
/// [`LogError`]: for all events of the call alike.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait LogChanges: Interface {
    /// Logs events. Must run inside a tokio runtime.
    async fn log(
        &self,
        changes: Vec<ChangeToLog>,
        ack_level: AckLevel,
    ) -> Result<Vec<LogOutcome>, LogError>;

    /// Takes no more events and waits until those that were taken are logged and handed to
    /// publishing; `false` when the time ends first.
    async fn drain(&self, deadline: Duration) -> bool;
}

/// Logs from one task of this process.
#[derive(Component)]
#[shaku(interface = LogChanges)]
pub struct GroupCommit {
    #[shaku(inject)]
    change_log: Arc<dyn ChangeLog>,
    #[shaku(inject)]
    publishing: Arc<dyn PublishEvents>,
    #[shaku(inject)]
    codec: Arc<dyn EventCodec>,
    #[shaku(inject)]
    log_ids: Arc<dyn LogIdGenerator>,
    #[shaku(inject)]
    layouts: Arc<dyn LayoutLookup>,
    #[shaku(inject)]
    incarnations: Arc<dyn IncarnationLookup>,
    #[shaku(inject)]
    vital_tasks: Arc<dyn VitalTasks>,
    /// The bounds of the group commit.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: LogSettings,
    #[shaku(force_default)]
    running: Running,
}

/// What begins with the first use: building the container is synchronous and knows no runtime.
#[derive(Default)]
struct Running {
    intake: OnceLock<mpsc::UnboundedSender<LogRequest>>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

/// One caller's events, with the places they hold and the way back.
struct LogRequest {
    changes: Vec<ChangeToLog>,
    places: WindowPlaces,
    ack_level: AckLevel,
    answer: oneshot::Sender<Result<Vec<LogOutcome>, LogError>>,
}

impl LogRequest {
    /// The history in which its accounts were found: one, since its caller looked them up at once.
    fn history(&self) -> Option<Incarnation> {
        self.changes.first().map(|change| change.incarnation)
    }
}

impl GroupCommit {
    /// A group commit that begins with its first event.
    #[must_use]
    #[expect(
        clippy::too_many_arguments,
        reason = "one for each port, as the container gives them"
    )]
    pub fn new(
        change_log: Arc<dyn ChangeLog>,
        publishing: Arc<dyn PublishEvents>,
        codec: Arc<dyn EventCodec>,
        log_ids: Arc<dyn LogIdGenerator>,
        layouts: Arc<dyn LayoutLookup>,
        incarnations: Arc<dyn IncarnationLookup>,
        vital_tasks: Arc<dyn VitalTasks>,
        settings: LogSettings,
    ) -> Self {
        Self {
            change_log,
            publishing,
            codec,
            log_ids,
            layouts,
            incarnations,
            vital_tasks,
            settings,
            running: Running::default(),
        }
    }

    fn intake(&self) -> &mpsc::UnboundedSender<LogRequest> {
        self.running.intake.get_or_init(|| {
            // Not bounded by itself: every request in it holds places of the publish window, so
            // no more events wait here than the window has places.
            let (intake, taken) = mpsc::unbounded_channel();
            let commits = CommitLoop {
                appender: Arc::new(Appender {
                    change_log: Arc::clone(&self.change_log),
                    log_ids: Arc::clone(&self.log_ids),
                    layouts: Arc::clone(&self.layouts),
                    incarnations: Arc::clone(&self.incarnations),
                    retry_after: self.settings.retry_after,
                }),
                publishing: Arc::clone(&self.publishing),
                codec: Arc::clone(&self.codec),
                events_max: self.settings.commit_events_max,
                intake: taken,
                closing: self.running.closing.clone(),
                gathered: Gathered::default(),
                under_way: FuturesOrdered::new(),
                known_under_way: VecDeque::new(),
                hasher: RandomState::new(),
                is_drained: false,
                handed_over: LruCache::new(HANDED_OVER_MAX),
                pace: Pace::default(),
            };
            self.running.tasks.spawn(vital(
                Arc::clone(&self.vital_tasks),
                "group commit",
                self.running.closing.clone(),
                commits.run(),
            ));
            intake
        })
    }
}

#[async_trait]
impl LogChanges for GroupCommit {
    async fn log(
        &self,
        changes: Vec<ChangeToLog>,
        ack_level: AckLevel,
    ) -> Result<Vec<LogOutcome>, LogError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let ending = || LogError::Unavailable("this process takes no more events".to_owned());
        if self.running.closing.is_cancelled() {
            return Err(ending());
        }
        let places = self.publishing.reserve(changes.len()).await?;
        let (answer, answered) = oneshot::channel();
        let request = LogRequest {
            changes,
            places,
            ack_level,
            answer,
        };
        self.intake().send(request).map_err(|_| ending())?;
        answered.await.unwrap_or_else(|_| Err(ending()))
    }

    async fn drain(&self, deadline: Duration) -> bool {
        self.running.closing.cancel();
        self.running.tasks.close();
        timeout(deadline, self.running.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests;
