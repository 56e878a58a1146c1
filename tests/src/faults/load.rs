//! Clients that send a session while faults come and go.
//!
//! An account belongs to one stream; a stream sends one request after another, to one API process
//! as long as it answers and to the next one otherwise. Nothing is sent again here: what came back
//! ambiguous is settled at the end.

use super::journal::{Answer, Journal, Sent};
use crate::client::ApiClient;
use crate::script::Script;
use axs_proto::v1::{AckLevel, BalanceChangeEvent};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Events of one request.
const EVENTS_A_REQUEST: std::ops::RangeInclusive<usize> = 1..=8;

/// The pause of a stream between two requests, milliseconds.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 10..=40;

/// One request in so many waits for Kafka too.
const PUBLISHED_ONE_IN: u32 = 8;

/// A client gives up on an answer after this time. Shorter than the server's own deadline, so that
/// an outage does not stop the load for long.
const PATIENCE: Duration = Duration::from_secs(4);

/// The API processes that clients may use.
#[derive(Debug, Clone, Default)]
pub struct Roster(Arc<Mutex<Vec<(usize, ApiClient)>>>);

impl Roster {
    /// Adds a process under a number that no other ever had.
    pub fn add(&self, number: usize, client: ApiClient) {
        self.lock().push((number, client));
    }

    /// Takes a process out.
    pub fn remove(&self, number: usize) {
        self.lock().retain(|(other, _)| *other != number);
    }

    /// One of them, by any number.
    #[must_use]
    pub fn pick(&self, wish: usize) -> Option<(usize, ApiClient)> {
        let all = self.lock();
        all.get(wish.checked_rem(all.len())?).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(usize, ApiClient)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A load that runs until it is stopped.
#[derive(Debug)]
pub struct Load {
    streams: JoinSet<()>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Load {
    /// Begins to send.
    #[must_use]
    pub fn begin(
        script: &Script,
        streams: usize,
        seed: u64,
        roster: &Roster,
        journal: &Journal,
    ) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut tasks = JoinSet::new();
        for (number, items) in script.streams(streams).into_iter().enumerate() {
            let stream = Stream {
                events: items.into_iter().map(|item| item.event.clone()).collect(),
                rng: StdRng::seed_from_u64(seed.wrapping_add(number as u64)),
                api: number,
                roster: roster.clone(),
                journal: journal.clone(),
                stopped: stopped.clone(),
            };
            tasks.spawn(stream.send_all());
        }
        Self {
            streams: tasks,
            stop,
        }
    }

    /// Lets every request under way be answered, and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.streams.join_next().await.is_some() {}
    }
}

struct Stream {
    events: Vec<BalanceChangeEvent>,
    rng: StdRng,
    api: usize,
    roster: Roster,
    journal: Journal,
    stopped: tokio::sync::watch::Receiver<bool>,
}

impl Stream {
    async fn send_all(mut self) {
        let mut events = std::mem::take(&mut self.events).into_iter();
        while !*self.stopped.borrow() {
            let count = self.rng.random_range(EVENTS_A_REQUEST);
            let some: Vec<_> = events.by_ref().take(count).collect();
            if some.is_empty() {
                return;
            }
            self.send(some).await;
            let pause = self.rng.random_range(PAUSE_MS);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn send(&mut self, events: Vec<BalanceChangeEvent>) {
        let level = if self.rng.random_ratio(1, PUBLISHED_ONE_IN) {
            AckLevel::Published
        } else {
            AckLevel::Logged
        };
        let Some((api, client)) = self.roster.pick(self.api) else {
            return;
        };
        let sent = send(&client, api, events, level, true).await;
        // Another process, in the hope that it fares better.
        let failed =
            |sent: &Sent| !matches!(sent.answer, Answer::Accepted { .. } | Answer::Refused(_));
        if sent.iter().any(failed) {
            self.api += 1;
        }
        self.journal.note(sent);
    }
}

/// Sends events in one request and gives what came back for each.
pub async fn send(
    client: &ApiClient,
    api: usize,
    events: Vec<BalanceChangeEvent>,
    level: AckLevel,
    in_sequence: bool,
) -> Vec<Sent> {
    let answers = match timeout(PATIENCE, client.try_submit(events.clone(), level)).await {
        Ok(Ok(results)) => results.into_iter().map(Answer::of).collect(),
        Ok(Err(status)) => vec![Answer::of_status(&status); events.len()],
        Err(_) => vec![Answer::Unknown("no answer in time".to_owned()); events.len()],
    };
    // Of two events of one request with the same key, which came first is told by the answer alone.
    let mut seen = BTreeSet::new();
    let sent = events.into_iter().zip(answers).map(|(event, answer)| Sent {
        in_sequence: in_sequence && seen.insert((event.account_id, event.idempotency_key.clone())),
        event,
        api,
        answer,
    });
    sent.collect()
}
