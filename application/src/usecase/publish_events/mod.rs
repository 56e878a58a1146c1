//! Publishing what was logged, in the order in which it was logged.
//!
//! ```text
//! reserve ──▶ log (PostgreSQL) ──▶ publish ──▶ one task: enqueue in order ──▶ delivery report
//!    │                                                                            │
//!    └───────────── place in the window ──────────────────────── given back ◀─────┘
//! ```
//!
//! A place in the *window* is taken before an event is logged and given back at its delivery
//! report. So whatever is logged can be handed to the producer in order without waiting for room,
//! and nothing here queues without a bound: each waiting event holds a place.
//!
//! An event is kept until its delivery report. When the producer fails, or one delivery does,
//! nothing more is handed over until all reports are in; then a fresh producer is given everything
//! that is not delivered, in its old order, before anything newer. So no event is overtaken through
//! this process by a later one of its account. Copies may land; the leader skips them. Meanwhile
//! the places stay taken: the process goes on logging until the window is full, `reserve` then
//! refuses with a delay, and `health` says why. Kafka being away is no failure: it is waited for.
//!
//! | metric | what it counts |
//! |---|---|
//! | `axs_publish_window_used` | places taken now |
//! | `axs_publish_queue_full_total` | tries that found the producer's queue full |
//! | `axs_publish_renewals_total` | tries to go on with a fresh producer |
//! | `axs_publish_repeated_total` | events that a fresh producer was given again |
//! | `axs_publish_left_to_relay_total` | logged events that this process does not publish, after its drain |
//! | `axs_positions_dropped_total` | positions that were not noted |

mod health_board;
mod in_flight;
mod position_notes;
mod publish_loop;
mod waiting;
mod window;

pub use window::{WindowPlace, WindowPlaces};

use crate::port::change_log::{ChangeLog, ChangeLogKey};
use crate::port::event_publisher::{EventPublisher, OutboundRecord};
use crate::usecase::backlog::Backlog;
use crate::usecase::vital_tasks::{VitalTasks, vital};
use async_trait::async_trait;
use health_board::HealthBoard;
use position_notes::PositionNotes;
use publish_loop::PublishLoop;
use shaku::{Component, Interface};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use window::PublishWindow;

/// Bounds of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishSettings {
    /// Events logged or about to be, whose delivery is not reported yet; 1 or more, at most the
    /// producer's queue, and at least the largest batch of one request.
    pub window_events: u32,
    /// How long a request waits for its places before it is refused.
    pub window_wait: Duration,
    /// After which time a refused client should try again.
    pub retry_after: Duration,
}

/// A logged event on its way to the topic.
#[derive(Debug)]
pub struct EventToPublish {
    /// The record.
    pub record: OutboundRecord,
    /// Its log row, whose position is noted afterwards.
    pub key: ChangeLogKey,
    /// Its place in the window, given back at the delivery report.
    pub place: WindowPlace,
    /// Who waits for the delivery; dropped without a word when there will be none.
    pub waiter: Option<oneshot::Sender<()>>,
}

/// Whether an event came to the topic, for somebody who waits for it.
#[derive(Debug)]
pub struct Publication(oneshot::Receiver<()>);

impl Publication {
    /// A publication, and the end through which it is told.
    #[must_use]
    pub fn pending() -> (oneshot::Sender<()>, Self) {
        let (waiter, publication) = oneshot::channel();
        (waiter, Self(publication))
    }

    /// Waits until the event is on the topic; `false` when the deadline comes first, or when this
    /// process leaves the event to the relay.
    pub async fn wait_until(self, deadline: Instant) -> bool {
        matches!(timeout_at(deadline, self.0).await, Ok(Ok(())))
    }
}

/// Why no places were given. Nothing was logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// The window stayed full. Try again after a pause.
    #[error("{used} of {size} events wait for their delivery to the events topic")]
    Full {
        /// Places taken.
        used: usize,
        /// All places.
        size: usize,
        /// The pause.
        retry_after: Duration,
    },
    /// The publishing of this process died by a fault of its own. Another process can.
    #[error("this process publishes no more until it is restarted: {0}")]
    Broken(String),
}

/// Whether this process publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishHealth {
    /// It does, as far as the producer says.
    Publishing,
    /// Publishing failed and is being renewed; degraded. What is logged meanwhile waits in order.
    Renewing(String),
    /// It does not until it is restarted; not ready.
    Broken(String),
}

/// Publishes logged events in order.
///
/// # Contract
/// - Events are enqueued in the order of the calls of `publish` and, inside a call, of its list.
/// - They land in that order, first copies counted, whatever fails and is renewed in between.
/// - A place is given back exactly once: when the event is delivered, or left to the relay after a
///   drain, or when its owner drops it.
///
/// # Errors
/// [`ReserveError`], before anything is logged.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait PublishEvents: Interface {
    /// Takes places for so many events, all or none, in the order of asking, within a bounded wait.
    async fn reserve(&self, events: usize) -> Result<WindowPlaces, ReserveError>;

    /// Takes logged events over. Never waits: each holds its place. Must run inside a tokio
    /// runtime.
    fn publish(&self, events: Vec<EventToPublish>);

    /// Whether this process publishes.
    fn health(&self) -> PublishHealth;

    /// Takes no more events and waits until all that were taken are delivered and noted; `false`
    /// when the time ends first. What is then left is published by the relay.
    async fn drain(&self, deadline: Duration) -> bool;
}

/// Publishes from one task of this process.
#[derive(Component)]
#[shaku(interface = PublishEvents)]
pub struct OrderedPublishing {
    #[shaku(inject)]
    publisher: Arc<dyn EventPublisher>,
    #[shaku(inject)]
    change_log: Arc<dyn ChangeLog>,
    #[shaku(inject)]
    backlog: Arc<dyn Backlog>,
    #[shaku(inject)]
    vital_tasks: Arc<dyn VitalTasks>,
    /// The bounds of publishing.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: PublishSettings,
    #[shaku(force_default)]
    running: Running,
}

/// What begins with the first use: building the container is synchronous and knows no runtime.
#[derive(Default)]
struct Running {
    window: OnceLock<Arc<PublishWindow>>,
    intake: OnceLock<mpsc::UnboundedSender<Vec<EventToPublish>>>,
    health: Arc<HealthBoard>,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl OrderedPublishing {
    /// A publishing that begins with its first event.
    #[must_use]
    pub fn new(
        publisher: Arc<dyn EventPublisher>,
        change_log: Arc<dyn ChangeLog>,
        backlog: Arc<dyn Backlog>,
        vital_tasks: Arc<dyn VitalTasks>,
        settings: PublishSettings,
    ) -> Self {
        Self {
            publisher,
            change_log,
            backlog,
            vital_tasks,
            settings,
            running: Running::default(),
        }
    }

    fn window(&self) -> &Arc<PublishWindow> {
        self.running
            .window
            .get_or_init(|| Arc::new(PublishWindow::new(self.settings.window_events)))
    }

    fn intake(&self) -> &mpsc::UnboundedSender<Vec<EventToPublish>> {
        self.running.intake.get_or_init(|| {
            // Not bounded by itself: every event in it holds one of the window's places.
            let (intake, taken) = mpsc::unbounded_channel();
            let running = &self.running;
            let (notes, positions) =
                PositionNotes::new(Arc::clone(&self.change_log), running.closing.clone());
            // It ends after the publishing, however that ends.
            let may_end = CancellationToken::new();
            may_end.cancel();
            running.tasks.spawn(vital(
                Arc::clone(&self.vital_tasks),
                "position notes",
                may_end,
                notes.run(),
            ));
            let publishing = PublishLoop::new(
                Arc::clone(&self.publisher),
                Arc::clone(self.window()),
                taken,
                positions,
                Arc::clone(&self.backlog),
                Arc::clone(&running.health),
                running.closing.clone(),
            );
            let health = Arc::clone(&running.health);
            let run = vital(
                Arc::clone(&self.vital_tasks),
                "publishing",
                running.closing.clone(),
                publishing.run(),
            );
            running.tasks.spawn(async move {
                // Until the process has ended, nobody may think that it publishes.
                if let Err(death) = run.await {
                    health.broken(death.to_string());
                }
            });
            intake
        })
    }
}

#[async_trait]
impl PublishEvents for OrderedPublishing {
    async fn reserve(&self, events: usize) -> Result<WindowPlaces, ReserveError> {
        let broken = || match self.running.health.read() {
            PublishHealth::Broken(reason) => Some(ReserveError::Broken(reason)),
            PublishHealth::Publishing | PublishHealth::Renewing(_) => None,
        };
        if let Some(broken) = broken() {
            return Err(broken);
        }
        let window = self.window();
        match timeout(self.settings.window_wait, window.take(events)).await {
            // While it waited, the publishing may have died: that is what gave the places back.
            Ok(Some(places)) => broken().map_or(Ok(places), Err),
            Ok(None) | Err(_) => Err(ReserveError::Full {
                used: window.used(),
                size: window.size(),
                retry_after: self.settings.retry_after,
            }),
        }
    }

    fn publish(&self, events: Vec<EventToPublish>) {
        // After a drain nobody takes events: they are in the log, where the relay finds them.
        if let Err(left) = self.intake().send(events) {
            let left = u64::try_from(left.0.len()).unwrap_or(u64::MAX);
            metrics::counter!("axs_publish_left_to_relay_total").increment(left);
        }
    }

    fn health(&self) -> PublishHealth {
        self.running.health.read()
    }

    async fn drain(&self, deadline: Duration) -> bool {
        let ends_at = Instant::now() + deadline;
        self.running.closing.cancel();
        self.running.tasks.close();
        let delivered = timeout_at(ends_at, self.running.tasks.wait()).await.is_ok();
        let left = ends_at.saturating_duration_since(Instant::now());
        self.publisher.flush(left).await && delivered
    }
}

#[cfg(test)]
mod renewal_tests;
#[cfg(test)]
mod tests;
