//! The sending half: concurrent streams, each one request after another.

use super::Progress;
use super::latency::Latencies;
use super::mismatch::Mismatches;
use crate::client::{Answered, ApiClient};
use crate::model::{Expected, Key};
use crate::script::{Item, Script};
use anyhow::{Context, Result};
use axs_client::Answer;
use axs_proto::v1::{
    AcceptedEvent, AckLevel, BalanceChangeEvent, Refusal, SubmitResult, submit_result,
};
use futures::future::try_join_all;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How a script is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmitPlan {
    /// Requests under way at once. An account belongs to one stream, and a stream to one API
    /// process, so that the order of its events is defined.
    pub streams: usize,
    /// Events of one request or, by single calls, events handed over at once.
    pub events_a_request: usize,
    /// One request in so many has an event followed until it is final; 0 for none.
    pub sample_every: usize,
    /// What a request waits for.
    pub level: AckLevel,
}

impl Default for SubmitPlan {
    fn default() -> Self {
        Self {
            streams: 8,
            events_a_request: 50,
            sample_every: 0,
            level: AckLevel::Logged,
        }
    }
}

/// What came back at once.
#[derive(Debug)]
pub struct Submission {
    /// When the first request was sent.
    pub began: Instant,
    /// How long all requests took to be answered.
    pub took: Duration,
    /// The log id of every accepted event, by account and key.
    pub log_ids: BTreeMap<Key, String>,
    /// When the request with each new event was sent, Unix microseconds by this machine's clock.
    pub sent_usec: BTreeMap<Key, i64>,
    /// Events that were marked as known.
    pub duplicates: u64,
    /// Events that were not taken.
    pub refused: u64,
    /// Requests that were turned away for the backlog, and sent again.
    pub turned_away: usize,
    /// Samples of the time from sending to the result.
    pub latencies: Vec<Latencies>,
    /// Answers that are not as the model says.
    pub mismatches: Mismatches,
}

/// The way to one API process.
#[derive(Debug, Clone)]
pub enum Way {
    /// A request for each chunk of a stream.
    Batches(ApiClient),
    /// The client crate: a call for each event, a chunk of them at a time. The other client looks
    /// events up.
    Calls(axs_client::Client, ApiClient),
}

/// Sends the script to the API processes, a chunk of a stream in one request, and compares every
/// answer with the model's.
///
/// # Errors
/// A request fails for good.
pub async fn submit(
    clients: &[ApiClient],
    script: &Script,
    plan: SubmitPlan,
    progress: Progress<'_>,
) -> Result<Submission> {
    let ways: Vec<Way> = clients.iter().cloned().map(Way::Batches).collect();
    submit_by(&ways, script, plan, progress).await
}

/// Sends the script to the API processes in these ways, and compares every answer with the
/// model's.
///
/// # Errors
/// A request fails for good.
pub async fn submit_by(
    ways: &[Way],
    script: &Script,
    plan: SubmitPlan,
    progress: Progress<'_>,
) -> Result<Submission> {
    let streams = script.streams(plan.streams);
    let began = Instant::now();
    let sending = streams.iter().enumerate().map(|(number, items)| {
        let way = ways.get(number % ways.len().max(1)).cloned();
        async move {
            let way = way.context("no API to send to")?;
            send_stream(way, items, plan, progress).await
        }
    });
    let sent = try_join_all(sending).await?;
    let took = began.elapsed();

    let mut submission = Submission {
        began,
        took,
        log_ids: BTreeMap::new(),
        sent_usec: BTreeMap::new(),
        duplicates: 0,
        refused: 0,
        turned_away: 0,
        latencies: Vec::new(),
        mismatches: Mismatches::default(),
    };
    for stream in sent {
        submission.log_ids.extend(stream.log_ids);
        submission.sent_usec.extend(stream.sent_usec);
        submission.duplicates += stream.duplicates;
        submission.refused += stream.refused;
        submission.turned_away += stream.turned_away;
        submission.latencies.push(stream.latencies);
        submission.mismatches.merge(stream.mismatches);
    }
    Ok(submission)
}

#[derive(Default)]
struct Stream {
    log_ids: BTreeMap<Key, String>,
    sent_usec: BTreeMap<Key, i64>,
    duplicates: u64,
    refused: u64,
    turned_away: usize,
    latencies: Latencies,
    mismatches: Mismatches,
}

async fn send_stream(
    way: Way,
    items: &[&Item],
    plan: SubmitPlan,
    progress: Progress<'_>,
) -> Result<Stream> {
    let mut stream = Stream::default();
    for (number, chunk) in items.chunks(plan.events_a_request).enumerate() {
        let events: Vec<_> = chunk.iter().map(|item| item.event.clone()).collect();
        let (sent, sent_usec) = (Instant::now(), unix_usec()?);
        let answered = way.send(events, plan.level).await?;
        stream.turned_away += answered.turned_away;
        let mut newest = None;
        for (index, (item, result)) in chunk.iter().zip(answered.results).enumerate() {
            if let Some(log_id) = stream.take(&way.path_of(index), item, result) {
                let event = &item.event;
                let key = (event.account_id, event.idempotency_key.clone());
                stream.sent_usec.insert(key, sent_usec);
                newest = Some(log_id);
            }
        }
        if plan.sample_every != 0
            && number.is_multiple_of(plan.sample_every)
            && let Some(log_id) = newest
        {
            stream.latencies.follow(way.reader(), log_id, sent);
        }
        progress(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
    }
    Ok(stream)
}

impl Way {
    async fn send(&self, events: Vec<BalanceChangeEvent>, level: AckLevel) -> Result<Answered> {
        let client = match self {
            Self::Batches(client) => return client.submit(&events, level).await,
            Self::Calls(client, _) => client,
        };
        let calls = events.into_iter().map(|event| client.submit(event));
        let answers = try_join_all(calls)
            .await
            .context("a call of the client crate")?;
        Ok(Answered {
            results: answers.into_iter().map(contracts_result).collect(),
            turned_away: 0,
        })
    }

    /// How the paths of the fields of a chunk's event begin.
    fn path_of(&self, index: usize) -> String {
        match self {
            Self::Batches(_) => format!("events[{index}]."),
            Self::Calls(..) => String::new(),
        }
    }

    fn reader(&self) -> ApiClient {
        match self {
            Self::Batches(client) | Self::Calls(_, client) => client.clone(),
        }
    }
}

/// The contract's message for an answer of the client crate.
fn contracts_result(answer: Answer) -> SubmitResult {
    let outcome = match answer {
        Answer::Accepted(accepted) => submit_result::Outcome::Accepted(AcceptedEvent {
            log_id: accepted.log_id,
            duplicate: accepted.duplicate,
            state: Some(accepted.state),
            published: accepted.published,
        }),
        Answer::Refused(refusal) => submit_result::Outcome::Refused(Refusal {
            code: refusal.code.into(),
            message: refusal.message,
            violations: refusal.violations,
            retry_after_msec: 0,
        }),
    };
    SubmitResult {
        outcome: Some(outcome),
    }
}

fn unix_usec() -> Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_micros())?)
}

impl Stream {
    /// Takes in one answer, whose fields have paths that begin so; gives the log id of an event
    /// that is new.
    fn take(&mut self, path: &str, item: &Item, result: SubmitResult) -> Option<String> {
        let key: Key = (item.event.account_id, item.event.idempotency_key.clone());
        match (result.outcome, &item.expected) {
            (Some(submit_result::Outcome::Accepted(found)), Expected::Accepted { duplicate }) => {
                self.mismatches
                    .compare(&format!("{key:?} duplicate"), &found.duplicate, duplicate);
                self.duplicates += u64::from(found.duplicate);
                let earlier = self.log_ids.insert(key.clone(), found.log_id.clone());
                if let Some(earlier) = earlier {
                    self.mismatches
                        .compare(&format!("{key:?} log id"), &found.log_id, &earlier);
                }
                (!found.duplicate).then_some(found.log_id)
            }
            (Some(submit_result::Outcome::Refused(found)), Expected::Refused(expected)) => {
                self.refused += 1;
                let what = format!("{key:?} refusal");
                self.mismatches
                    .compare(&what, &found.code(), &expected.code);
                if let Some(field) = &expected.field {
                    let path = format!("{path}{field}");
                    if !found
                        .violations
                        .iter()
                        .any(|violation| violation.field == path)
                    {
                        self.mismatches
                            .add(format!("{what} does not name {path}: {found:?}"));
                    }
                }
                None
            }
            (found, expected) => {
                self.refused +=
                    u64::from(matches!(found, Some(submit_result::Outcome::Refused(_))));
                self.mismatches
                    .add(format!("{key:?}: {found:?}, the model says {expected:?}"));
                None
            }
        }
    }
}
