//! The one task of a process that writes to the change log.

use super::appender::{Appender, EndedCommit};
use super::pace::Pace;
use super::{LogError, LogOutcome, LogRequest};
use crate::port::change_log::{AppendOutcome, ChangeLogRecord};
use crate::port::event_codec::{EnvelopeHeader, EventCodec};
use crate::port::event_publisher::OutboundRecord;
use crate::usecase::ack_level::AckLevel;
use crate::usecase::log_changes::ChangeToLog;
use crate::usecase::publish_events::{EventToPublish, Publication, PublishEvents, WindowPlace};
use axs_domain::id::LogId;
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use lru::LruCache;
use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Gathers, commits, hands over, answers; again and again.
pub(super) struct CommitLoop {
    pub(super) appender: Arc<Appender>,
    pub(super) publishing: Arc<dyn PublishEvents>,
    pub(super) codec: Arc<dyn EventCodec>,
    pub(super) events_max: usize,
    pub(super) intake: mpsc::UnboundedReceiver<LogRequest>,
    pub(super) closing: CancellationToken,
    /// What the next commit has so far.
    pub(super) gathered: Gathered,
    /// Commits under way, the earliest first; [`COMMITS_MAX`] at most.
    pub(super) under_way: FuturesOrdered<BoxFuture<'static, EndedCommit>>,
    /// What is known of each.
    pub(super) known_under_way: VecDeque<UnderWay>,
    /// Of the keys.
    pub(super) hasher: RandomState,
    /// Nothing can come any more.
    pub(super) is_drained: bool,
    /// What this process handed to publishing lately: retries of it need no second record.
    pub(super) handed_over: LruCache<LogId, ()>,
    pub(super) pace: Pace,
}

/// Hashes of keys, by one [`RandomState`]. Keys that happen to share one only wait for each other.
pub(super) type KeyHashes = HashSet<u64>;

/// Requests that wait for their commit, in the order of arrival.
#[derive(Default)]
pub(super) struct Gathered {
    requests: Vec<LogRequest>,
    events: usize,
    keys: KeyHashes,
    /// A request that does not fit: the first one of the commit after.
    next_first: Option<LogRequest>,
}

impl Gathered {
    /// Takes one more request in, or puts it aside for the commit after: the bound, or its history.
    fn push(&mut self, request: LogRequest, events_max: usize, hasher: &RandomState) {
        let events = request.changes.len();
        let fits = self.requests.first().is_none_or(|first| {
            self.events + events <= events_max && request.history() == first.history()
        });
        if fits {
            let keys = request.changes.iter().map(|it| hasher.hash_one(&it.key));
            self.keys.extend(keys);
            self.events += events;
            self.requests.push(request);
        } else {
            self.next_first = Some(request);
        }
    }

    fn callers(&self) -> usize {
        self.requests.len() + usize::from(self.next_first.is_some())
    }

    fn is_full(&self, events_max: usize) -> bool {
        self.next_first.is_some() || self.events >= events_max
    }
}

/// Log ids that are remembered as handed over. An older one that is sent again is published once
/// more, which is harmless.
pub(super) const HANDED_OVER_MAX: NonZeroUsize = match NonZeroUsize::new(100_000) {
    Some(max) => max,
    None => NonZeroUsize::MIN,
};

/// Commits under way at one time. With two the database works while this process answers and
/// gathers; with more they would be smaller, and no more would be done.
const COMMITS_MAX: usize = 2;

/// What is known of a commit under way.
pub(super) struct UnderWay {
    requests: usize,
    keys: KeyHashes,
}

impl CommitLoop {
    /// Runs until the intake is closed and everything taken from it is answered. Errors of the
    /// store end nothing: whoever waits is told, and the next commit is tried.
    pub(super) async fn run(mut self) {
        loop {
            let begins_at = self.begins_at();
            tokio::select! {
                biased;
                Some(commit) = self.under_way.next() => self.end(commit),
                request = self.intake.recv(), if self.takes() => match request {
                    Some(request) => self.gather(request),
                    None => self.is_drained = true,
                },
                () = self.closing.cancelled(), if !self.intake.is_closed() => self.intake.close(),
                () = reached(begins_at), if begins_at.is_some() => self.begin(),
                else => break,
            }
        }
    }

    fn takes(&self) -> bool {
        !self.is_drained && !self.gathered.is_full(self.events_max)
    }

    /// When the next commit begins if nothing else comes; `None`: not before something comes or a
    /// commit ends.
    fn begins_at(&self) -> Option<Instant> {
        let now = Instant::now();
        let gathered = &self.gathered;
        if gathered.requests.is_empty() || self.under_way.len() >= COMMITS_MAX {
            return None;
        }
        let requests = gathered.requests.len();
        let is_worth_one = gathered.is_full(self.events_max)
            || self.pace.is_worth_a_commit(requests, gathered.events);
        if !self.under_way.is_empty() {
            let begins = is_worth_one && !self.meets_one_under_way();
            return begins.then_some(now);
        }
        if is_worth_one || self.is_drained || self.intake.is_closed() {
            return Some(now);
        }
        Some(self.pace.waits_for_others_until(requests).unwrap_or(now))
    }

    fn gather(&mut self, request: LogRequest) {
        self.gathered.push(request, self.events_max, &self.hasher);
    }

    /// Whether a key that waits is in a commit under way. Beside that one its row would be written
    /// by whichever comes first, and there is no order in which both could be published and nothing
    /// be overtaken that stands before it in either.
    fn meets_one_under_way(&self) -> bool {
        let mut under_way = self.known_under_way.iter();
        under_way.any(|known| !known.keys.is_disjoint(&self.gathered.keys))
    }

    fn begin(&mut self) {
        let Gathered {
            requests,
            keys,
            next_first,
            ..
        } = std::mem::take(&mut self.gathered);
        if let Some(first) = next_first {
            self.gather(first);
        }
        self.known_under_way.push_back(UnderWay {
            requests: requests.len(),
            keys,
        });
        let log_ids = self.appender.new_ids(&requests);
        let appender = Arc::clone(&self.appender);
        let commit = appender.commit(requests, log_ids);
        self.under_way.push_back(Box::pin(commit));
    }

    fn end(&mut self, commit: EndedCommit) {
        self.known_under_way.pop_front();
        let EndedCommit {
            began,
            requests,
            log_ids,
            appended,
        } = commit;
        let answered = requests.len();
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
        let ended = Instant::now();
        let others = self.known_under_way.iter().map(|known| known.requests);
        let waiting = self.gathered.callers() + self.intake.len();
        let callers = answered + waiting + others.sum::<usize>();
        self.pace = Pace::after(ended, ended - began, callers);
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

/// At once when it is past: a timer rounds up to a millisecond.
async fn reached(at: Option<Instant>) {
    if let Some(at) = at
        && at > Instant::now()
    {
        sleep_until(at).await;
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
