//! The one task of a process that writes to the change log.

use super::{LogError, LogOutcome, LogRequest, LogSettings};
use crate::port::change_log::{
    AppendError, AppendOutcome, ChangeLog, ChangeLogRecord, NewChangeLog, Placing,
};
use crate::port::event_codec::{EnvelopeHeader, EventCodec};
use crate::port::event_publisher::OutboundRecord;
use crate::port::log_id_generator::LogIdGenerator;
use crate::usecase::ack_level::AckLevel;
use crate::usecase::detached::run_detached;
use crate::usecase::incarnation_lookup::IncarnationLookup;
use crate::usecase::layout_lookup::LayoutLookup;
use crate::usecase::log_changes::ChangeToLog;
use crate::usecase::publish_events::{EventToPublish, Publication, PublishEvents, WindowPlace};
use axs_domain::id::LogId;
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Gathers, commits, hands over, answers; again and again.
pub(super) struct CommitLoop {
    pub(super) change_log: Arc<dyn ChangeLog>,
    pub(super) publishing: Arc<dyn PublishEvents>,
    pub(super) codec: Arc<dyn EventCodec>,
    pub(super) log_ids: Arc<dyn LogIdGenerator>,
    pub(super) layouts: Arc<dyn LayoutLookup>,
    pub(super) incarnations: Arc<dyn IncarnationLookup>,
    pub(super) settings: LogSettings,
    pub(super) intake: mpsc::UnboundedReceiver<LogRequest>,
    /// A request that did not go with the last commit: the first one of the next.
    pub(super) carried: Option<LogRequest>,
    pub(super) closing: CancellationToken,
    /// What this process handed to publishing lately: retries of it need no second record.
    pub(super) handed_over: LruCache<LogId, ()>,
    pub(super) last_commit: LastCommit,
}

/// What the next commit learns from the one before it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastCommit {
    /// The requests that it answered, and those that waited at its end.
    callers: usize,
    /// Until when the next one waits for them.
    waited_for_until: Option<Instant>,
}

/// Log ids that are remembered as handed over. An older one that is sent again is published once
/// more, which is harmless.
pub(super) const HANDED_OVER_MAX: NonZeroUsize = match NonZeroUsize::new(100_000) {
    Some(max) => max,
    None => NonZeroUsize::MIN,
};

/// The longest that a commit waits for callers, however slow the one before it was.
pub(super) const GATHERING_MAX: Duration = Duration::from_millis(20);

/// How often one commit is placed by a newer layout. Raises are rare: more than one during a commit
/// means that something else is wrong.
const PLACINGS_MAX: usize = 4;

impl CommitLoop {
    /// Runs until the intake is closed and everything taken from it is answered. Errors of the
    /// store end nothing: whoever waits is told, and the next commit is tried.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.next().await {
            let requests = self.gather(first).await;
            let (began, gathered) = (Instant::now(), requests.len());
            self.commit(requests).await;
            let ended = Instant::now();
            // As long as the commit took: those that it answered often send again at once. Beginning
            // without them would split the callers for good into parts that take turns, in more commits.
            let wait = (ended - began).min(GATHERING_MAX);
            self.last_commit = LastCommit {
                callers: gathered + self.intake.len(),
                waited_for_until: Some(ended + wait),
            };
        }
    }

    async fn next(&mut self) -> Option<LogRequest> {
        if let Some(carried) = self.carried.take() {
            return Some(carried);
        }
        if !self.intake.is_closed() {
            tokio::select! {
                biased;
                request = self.intake.recv() => return request,
                () = self.closing.cancelled() => self.intake.close(),
            }
        }
        self.intake.recv().await
    }

    /// What waits now, and what comes soon after the last commit while it had more callers, in the order
    /// of arrival, up to the bound or to a request of another history. Who was alone in the last commit, or comes later, is not kept waiting.
    async fn gather(&mut self, first: LogRequest) -> Vec<LogRequest> {
        let mut events = first.changes.len();
        let history = first.history();
        let mut requests = vec![first];
        while let Some(request) = self.next_of(requests.len()).await {
            events += request.changes.len();
            if events > self.settings.commit_events_max || request.history() != history {
                self.carried = Some(request);
                break;
            }
            requests.push(request);
        }
        requests
    }

    /// The next request of a commit that has so many.
    async fn next_of(&mut self, gathered: usize) -> Option<LogRequest> {
        if let Ok(request) = self.intake.try_recv() {
            return Some(request);
        }
        let until = self.last_commit.waited_for_until?;
        if gathered >= self.last_commit.callers || until <= Instant::now() {
            return None;
        }
        tokio::select! {
            biased;
            request = self.intake.recv() => request,
            () = self.closing.cancelled() => None,
            () = sleep_until(until) => None,
        }
    }

    async fn commit(&mut self, mut requests: Vec<LogRequest>) {
        let (log_ids, appended) = self.append(&mut requests).await;
        match appended {
            Ok(outcomes) if outcomes.len() == log_ids.len() => {
                fail::fail_point!("api.after_log_commit");
                report_events(log_ids.len());
                self.settle(requests, log_ids.into_iter().zip(outcomes).collect());
            }
            Ok(outcomes) => {
                let reason = format!(
                    "the change log answered {} outcomes for {} rows",
                    outcomes.len(),
                    log_ids.len()
                );
                fail(requests, &LogError::Unavailable(reason));
            }
            Err(failure) => fail(requests, &failure),
        }
    }

    /// Writes all events of the requests by one layout: the one they were placed by, or the newer one
    /// that the change log names.
    async fn append(
        &mut self,
        requests: &mut [LogRequest],
    ) -> (Vec<LogId>, Result<Vec<AppendOutcome>, LogError>) {
        let mut placed = self.placed_alike(requests).await;
        for _ in 1..PLACINGS_MAX {
            let placed_by = match placed {
                Ok(placed_by) => placed_by,
                Err(failure) => return (Vec::new(), Err(failure)),
            };
            let asked_at = Instant::now();
            let (log_ids, appended) = self.append_placed(requests, placed_by).await;
            match appended {
                Ok(outcomes) => return (log_ids, Ok(outcomes)),
                Err(AppendError::LayoutMoved { .. }) => {
                    metrics::counter!("axs_log_placed_anew_total").increment(1);
                    placed = self.place_anew(requests).await;
                }
                Err(AppendError::HistoryMoved { current }) => {
                    self.incarnations.saw(current, asked_at);
                    return (log_ids, Err(LogError::HistoryMoved));
                }
                Err(AppendError::LayoutPaused) => {
                    let retry_after = self.settings.retry_after;
                    return (log_ids, Err(LogError::Paused { retry_after }));
                }
                Err(AppendError::Store(failure)) => {
                    return (log_ids, Err(LogError::Unavailable(failure.to_string())));
                }
            }
        }
        // Nothing was written by any of the tries.
        let retry_after = self.settings.retry_after;
        (Vec::new(), Err(LogError::Paused { retry_after }))
    }

    async fn append_placed(
        &mut self,
        requests: &[LogRequest],
        placed_by: Placing,
    ) -> (Vec<LogId>, Result<Vec<AppendOutcome>, AppendError>) {
        let rows: Vec<NewChangeLog> = requests
            .iter()
            .flat_map(|request| &request.changes)
            .map(|change| self.row(change))
            .collect();
        let log_ids: Vec<LogId> = rows.iter().map(|row| row.log_id).collect();
        let began = Instant::now();
        let change_log = Arc::clone(&self.change_log);
        // Detached from this task too, so that a panic in the store's adapter ends one commit and
        // not the write side.
        let appended = run_detached(async move { change_log.append(rows, placed_by).await }).await;
        metrics::histogram!("axs_log_commit_seconds").record(began.elapsed());
        (log_ids, appended)
    }

    fn row(&self, change: &ChangeToLog) -> NewChangeLog {
        NewChangeLog {
            log_id: self.log_ids.next_id(),
            key: change.key.clone(),
            fingerprint: change.fingerprint,
            event: Arc::clone(&change.event),
            payload: change.payload.clone(),
        }
    }

    /// Hands what is newly logged to publishing, then answers: whoever has the answer and sends
    /// the next event sends it behind this one.
    fn settle(&mut self, requests: Vec<LogRequest>, outcomes: Vec<(LogId, AppendOutcome)>) {
        for (log_id, outcome) in &outcomes {
            if matches!(outcome, AppendOutcome::Logged { .. }) {
                self.handed_over.put(*log_id, ());
            }
        }
        let mut outcomes = outcomes.into_iter();
        let mut events = Vec::new();
        let mut answers = Vec::with_capacity(requests.len());
        for mut request in requests {
            let mut logged = Vec::with_capacity(request.changes.len());
            for change in request.changes {
                match outcomes.next() {
                    Some((log_id, AppendOutcome::Logged { logged_at })) => {
                        let (waiter, publication) = awaited(request.ack_level);
                        if let Some(place) = request.places.split_one() {
                            let mut event = self.outbound(change, log_id, logged_at, place);
                            event.waiter = waiter;
                            events.push(event);
                        }
                        logged.push(LogOutcome::Logged {
                            log_id,
                            logged_at,
                            publication,
                        });
                    }
                    Some((_, AppendOutcome::Known(record))) => {
                        // A try of it may have been committed without anybody knowing, and then
                        // nobody published it. What follows must not overtake it.
                        let mut publication = None;
                        if never_seen_on_topic(&record, &change)
                            && self.handed_over.put(record.log_id, ()).is_none()
                            && let Some(place) = request.places.split_one()
                        {
                            let again = ChangeToLog {
                                payload: record.payload.clone(),
                                ..change
                            };
                            let (log_id, logged_at) = (record.log_id, record.logged_at);
                            let mut event = self.outbound(again, log_id, logged_at, place);
                            (event.waiter, publication) = awaited(request.ack_level);
                            events.push(event);
                        }
                        logged.push(LogOutcome::Known {
                            record,
                            publication,
                        });
                    }
                    // Its neighbours are logged and published all the same.
                    Some((_, AppendOutcome::Unreadable(reason))) => {
                        logged.push(LogOutcome::Unknown(reason));
                    }
                    // The numbers were compared before.
                    None => {}
                }
            }
            // The places of known events go back with the request.
            answers.push((request.answer, logged));
        }
        if !events.is_empty() {
            self.publishing.publish(events);
        }
        fail::fail_point!("api.before_answer");
        for (to, answer) in answers {
            // A caller that went away finds its events by their keys.
            let _ = to.send(Ok(answer));
        }
    }

    fn outbound(
        &self,
        change: ChangeToLog,
        log_id: LogId,
        logged_at: Timestamp,
        place: WindowPlace,
    ) -> EventToPublish {
        let header = EnvelopeHeader {
            log_id,
            shard_id: change.key.shard_id,
            layout_epoch: change.layout_epoch,
            logged_at,
            traceparent: change.traceparent,
        };
        EventToPublish {
            record: OutboundRecord {
                partition: change.partition,
                account_id: change.key.account_id,
                payload: self.codec.encode_envelope(header, change.payload),
            },
            key: change.key,
            place,
            waiter: None,
        }
    }
}

/// The two ends of a publication that somebody waits for.
fn awaited(ack_level: AckLevel) -> (Option<oneshot::Sender<()>>, Option<Publication>) {
    match ack_level {
        AckLevel::Logged => (None, None),
        AckLevel::Published => {
            let (waiter, publication) = Publication::pending();
            (Some(waiter), Some(publication))
        }
    }
}

/// Whether a known row is this very request, and no report says that it reached the topic. A copy
/// that is published once too often is skipped by the leader.
fn never_seen_on_topic(record: &ChangeLogRecord, change: &ChangeToLog) -> bool {
    record.status == LogStatus::Init
        && record.position.is_none()
        && record.fingerprint == change.fingerprint
        && !record.payload.is_empty()
}

/// Tells everybody what became of a commit that failed. Nothing of it is published from here: rows
/// that did commit are found by the relay. The places go back with the requests.
fn fail(requests: Vec<LogRequest>, failure: &LogError) {
    tracing::warn!(%failure, requests = requests.len(), "a log commit failed");
    for request in requests {
        let _ = request.answer.send(Err(failure.clone()));
    }
}

fn report_events(events: usize) {
    let events = u32::try_from(events).unwrap_or(u32::MAX);
    metrics::histogram!("axs_log_commit_events").record(f64::from(events));
}
