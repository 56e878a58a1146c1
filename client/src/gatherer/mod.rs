//! Concurrent callers' events, gathered into requests.
//!
//! Up to `requests_in_flight_max` senders run, each with one request after another. A sender takes
//! what waits, of accounts that no other request carries; what arrives meanwhile waits for the next
//! one to be free, and so requests grow with the load by themselves. No timer holds anything up: an
//! event that finds a sender free is sent after one turn of the scheduler, in which the other
//! callers who were woken by the same answer hand over theirs.
//!
//! | on the way | bound | beyond it |
//! |---|---|---|
//! | events held | `events_held_max` | callers wait at the door, in their order |
//! | requests under way | `requests_in_flight_max` | events wait in their lanes |
//! | one request | `request_events_max`, [`REQUEST_BYTES_MAX`] | the next request |
//! | one event | [`EVENT_BYTES_MAX`](crate::EVENT_BYTES_MAX) | refused |
//! | tries | the caller's deadline | the caller is told, and the event is forgotten |

mod activity;
mod lane;
mod settled;
mod verdict;

pub use activity::Activity;

use crate::backoff;
use crate::error::{Cause, SubmitError};
use crate::settings::{ClientSettings, REQUEST_BYTES_MAX};
use crate::wire::Wire;
use activity::Counters;
use bytes::Bytes;
use lane::{Held, Lanes, Reply};
use settled::{Flight, Settled};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};
use verdict::{Fate, Rest, Verdict, judge};

/// Gathers events and sends them.
#[derive(Debug)]
pub(crate) struct Gatherer {
    state: Mutex<State>,
    /// Room for events that are held.
    room: Semaphore,
    /// Callers for whom there was no room, in their order: the first of them waits for room.
    door: tokio::sync::Mutex<()>,
    wire: Wire,
    senders_max: usize,
    runtime: Handle,
    counters: Counters,
}

#[derive(Debug)]
struct State {
    lanes: Lanes,
    next_id: u64,
    /// Callers at the door. While there are any, nobody passes them.
    at_door: usize,
    /// Senders that run.
    senders: usize,
    /// Those of them that are about to take what waits.
    starting: usize,
    /// Events of one request: what was set, or less once the server was found to take less.
    request_events_max: usize,
}

impl Gatherer {
    pub(crate) fn new(wire: Wire, settings: &ClientSettings, runtime: Handle) -> Self {
        Self {
            state: Mutex::new(State {
                lanes: Lanes::default(),
                next_id: 0,
                at_door: 0,
                senders: 0,
                starting: 0,
                request_events_max: settings.request_events_max,
            }),
            room: Semaphore::new(settings.events_held_max),
            door: tokio::sync::Mutex::new(()),
            wire,
            senders_max: settings.requests_in_flight_max,
            runtime,
            counters: Counters::default(),
        }
    }

    pub(crate) fn activity(&self) -> Activity {
        self.counters.read()
    }

    /// Has the event sent, again as long as that helps and the deadline allows.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        account: i64,
        event: Bytes,
        deadline: Instant,
    ) -> Reply {
        let (reply, mut replied) = oneshot::channel();
        let Ok(id) = timeout_at(deadline, self.enter(account, event, reply)).await else {
            return Err(SubmitError::NotLogged(Cause::NotSent));
        };
        let place = Place {
            gatherer: self,
            account,
            id,
        };
        match timeout_at(deadline, &mut replied).await {
            Ok(Ok(reply)) => {
                place.leave();
                reply
            }
            Ok(Err(_)) => Err(SubmitError::Unknown(Cause::Stopped)),
            Err(_) => match place.give_up() {
                Some(held) => Err(held.given_up()),
                None => match replied.try_recv() {
                    Ok(reply) => reply,
                    Err(_) => Err(SubmitError::Unknown(Cause::NoAnswer)),
                },
            },
        }
    }

    /// Hands the event over, once there is room. Of two calls the one that was polled first is
    /// first, however long each waits.
    async fn enter(
        self: &Arc<Self>,
        account: i64,
        event: Bytes,
        reply: oneshot::Sender<Reply>,
    ) -> u64 {
        {
            let mut state = self.lock();
            if state.at_door == 0
                && let Ok(permit) = self.room.try_acquire()
            {
                permit.forget();
                return self.admit(&mut state, account, event, reply);
            }
            state.at_door += 1;
        }
        let _caller = AtDoor(self);
        let _first = self.door.lock().await;
        // The room is never closed.
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
        let mut state = self.lock();
        self.admit(&mut state, account, event, reply)
    }

    fn admit(
        self: &Arc<Self>,
        state: &mut State,
        account: i64,
        event: Bytes,
        reply: oneshot::Sender<Reply>,
    ) -> u64 {
        let id = state.next_id;
        state.next_id += 1;
        state.lanes.push(Held {
            id,
            account,
            event,
            reply,
            tries: 0,
            maybe_logged: false,
            cause: None,
        });
        self.start_sender(state);
        id
    }

    /// Starts a sender when one may run and has something to send.
    fn start_sender(self: &Arc<Self>, state: &mut State) {
        if state.starting == 0 && state.senders < self.senders_max && state.lanes.has_ready() {
            state.senders += 1;
            state.starting += 1;
            self.runtime.spawn(Arc::clone(self).send_what_waits());
        }
    }

    /// A sender: one request after another, until nothing waits.
    async fn send_what_waits(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            tokio::task::yield_now().await;
            let Some(batch) = self.next_batch() else {
                return;
            };
            let events: Vec<Bytes> = batch.iter().map(|held| held.event.clone()).collect();
            self.counters.request(events.len());
            let answer = self.wire.send(events).await;
            let verdict = judge(answer, batch.len());
            match self.settle(batch, verdict, failures + 1) {
                None => failures = 0,
                Some(pause) => {
                    failures += 1;
                    tokio::time::sleep(pause).await;
                }
            }
            self.lock().starting += 1;
        }
    }

    /// What the next request carries; `None` when nothing may go, and the sender ends.
    fn next_batch(self: &Arc<Self>) -> Option<Vec<Held>> {
        let mut state = self.lock();
        let events_max = state.request_events_max;
        let batch = state.lanes.take(events_max, REQUEST_BYTES_MAX);
        state.starting -= 1;
        if batch.is_empty() {
            state.senders -= 1;
            return None;
        }
        self.start_sender(&mut state);
        Some(batch)
    }

    /// Answers callers, and puts back what is sent again. Gives how long the sender pauses, when it
    /// is to pause; `failures` in a row there are then.
    fn settle(
        self: &Arc<Self>,
        batch: Vec<Held>,
        verdict: Verdict,
        failures: u32,
    ) -> Option<Duration> {
        let count = batch.len();
        let (fates, asked) = match verdict {
            Verdict::Each(fates) => (fates, None),
            Verdict::All(fate, asked) => (vec![fate; count], asked),
            Verdict::Smaller {
                maybe_logged,
                cause,
            } => {
                let mut state = self.lock();
                state.request_events_max = state.request_events_max.min(count.div_ceil(2));
                drop(state);
                let again = Fate::Again {
                    maybe_logged,
                    cause,
                    rest: Rest::None,
                };
                (vec![again; count], None)
            }
        };
        let chance = backoff::chance();
        let pause = asked.map(|asked| {
            let own = backoff::pause_after(failures, chance);
            own.max(backoff::at_least(asked, chance))
        });
        let mut settled = Settled::new(chance, pause);
        for (held, fate) in batch.into_iter().zip(fates) {
            settled.take(held, fate);
        }
        self.counters.settled(&settled);
        let resting = self.end_flights(settled.flights);
        self.room
            .add_permits(settled.replies.len() + settled.abandoned);
        for (caller, reply) in settled.replies {
            // A caller that went away misses nothing.
            let _ = caller.send(reply);
        }
        for (until, accounts) in resting {
            self.runtime.spawn(Arc::clone(self).wake(until, accounts));
        }
        pause
    }

    /// Puts back what is sent again, and gives the accounts that rest, by the ends of their rests.
    fn end_flights(self: &Arc<Self>, flights: Vec<Flight>) -> BTreeMap<Instant, Vec<i64>> {
        let now = Instant::now();
        let mut resting: BTreeMap<Instant, Vec<i64>> = BTreeMap::new();
        let mut state = self.lock();
        for flight in flights {
            let until = flight.rest.map(|rest| now + rest);
            if let Some(until) = until.filter(|_| !flight.again.is_empty()) {
                resting.entry(until).or_default().push(flight.account);
            }
            state.lanes.end_flight(flight.account, flight.again, until);
        }
        self.start_sender(&mut state);
        resting
    }

    async fn wake(self: Arc<Self>, until: Instant, accounts: Vec<i64>) {
        tokio::time::sleep_until(until).await;
        let mut state = self.lock();
        state.lanes.wake(&accounts, until);
        self.start_sender(&mut state);
    }

    /// Takes an event out that is not under way.
    fn withdraw(&self, account: i64, id: u64) -> Option<Held> {
        let held = self.lock().lanes.withdraw(account, id)?;
        self.room.add_permits(1);
        Some(held)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's event among those held. Dropped with its caller's future, it is taken out, unless a
/// request carries it already.
struct Place<'a> {
    gatherer: &'a Gatherer,
    account: i64,
    id: u64,
}

impl Place<'_> {
    /// The event is answered and held no more.
    fn leave(self) {
        std::mem::forget(self);
    }

    /// Takes the event out; `None` when a request carries it.
    fn give_up(self) -> Option<Held> {
        let held = self.gatherer.withdraw(self.account, self.id);
        self.leave();
        held
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gatherer.withdraw(self.account, self.id);
    }
}

/// A caller at the door.
struct AtDoor<'a>(&'a Gatherer);

impl Drop for AtDoor<'_> {
    fn drop(&mut self) {
        self.0.lock().at_door -= 1;
    }
}
