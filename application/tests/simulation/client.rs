//! Clients: they send, wait, give up waiting, and send the same key again.

use crate::fleet::{Api, Fleet};
use crate::notebook::{Notebook, Told};
use crate::world::World;
use axs_application::testkit::EventBuilder;
use axs_application::usecase::ack_level::AckLevel;
use axs_application::usecase::submit_balance_changes::{
    SubmitBalanceChanges, SubmitError, SubmitOutcome,
};
use axs_domain::event::BalanceChangeEvent;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Pauses between tries, in milliseconds.
const PAUSE_MILLIS_MAX: u64 = 400;

const CURRENCIES: [&str; 3] = ["USD", "BTC", "FEE"];

/// One client and its way of working.
pub struct Client {
    pub name: String,
    pub fleet: Arc<Fleet>,
    pub notebook: Arc<Notebook>,
    /// The accounts it works for.
    pub accounts: Vec<i64>,
    /// The longest pause before a request.
    pub pause_millis_max: u64,
    /// Requests it will send.
    pub requests: usize,
}

impl Client {
    fn world(&self) -> &World {
        &self.fleet.servers.world
    }

    /// Sends everything it has, each request after the answer to the one before, and some of it
    /// twice.
    pub async fn run(self) {
        for number in 0..self.requests {
            let world = self.world();
            tokio::time::sleep(world.millis(0..self.pause_millis_max)).await;
            let events = self.request(number);
            let slot = world.pick_place(self.fleet.api_count());
            let ack = if world.happens(0.3) {
                AckLevel::Published
            } else {
                AckLevel::Logged
            };
            if world.happens(0.1) {
                self.send_twice_at_once(&events, slot).await;
            }
            // Who gives up leaves its events in doubt; they are settled once all is well.
            let tries = if world.happens(0.15) { 1 } else { 20 };
            if !self.send_until_answered(&events, ack, slot, tries).await {
                self.notebook.leave_in_doubt(events.clone());
            }
            if world.happens(0.2) {
                self.ask_again_of_earlier(slot).await;
            }
        }
    }

    fn request(&self, number: usize) -> Vec<BalanceChangeEvent> {
        let world = self.world();
        let count = world.pick(1..4);
        (0..count)
            .map(|nth| {
                let account = self.accounts[world.pick_place(self.accounts.len())];
                self.event(account, &format!("{}-{number}-{nth}", self.name))
            })
            .collect()
    }

    fn event(&self, account: i64, key: &str) -> BalanceChangeEvent {
        let world = self.world();
        let event = EventBuilder::new(account, key);
        match world.pick(0..40) {
            0 => return EventBuilder::new(9_999, key).build(),
            1 => return event.user_of(account + 1).build(),
            2 => return event.change("XXX", "1", "0").build(),
            3 => return event.change("USD", "0.001", "0").build(),
            _ => {}
        }
        let mut event = event;
        for _ in 0..world.pick(1..4) {
            event = self.change(event);
        }
        event.build()
    }

    fn change(&self, event: EventBuilder) -> EventBuilder {
        let world = self.world();
        let place = world.pick_place(CURRENCIES.len());
        let currency = CURRENCIES[place];
        let amount = world.pick_signed(1..40);
        let text = |value: i64| value.to_string();
        match world.pick(0..10) {
            // More comes in than goes out, but only just.
            0..4 => event.change(currency, &text(amount * 3), "0"),
            // A hold, its release, its capture.
            4 => event.change(currency, &text(-amount), &text(amount)),
            5 => event.change(currency, &text(amount), &text(-amount)),
            6 => event.change(currency, "0", &text(-amount)),
            // A fee, in this currency or else in another.
            7 | 8 => {
                let other = CURRENCIES[(place + 1) % CURRENCIES.len()];
                event.change(currency, &text(-amount), "0").fallback(
                    other,
                    &text(-amount / 2 - 1),
                    "0",
                )
            }
            _ => event.change(currency, &text(-amount), "0"),
        }
    }

    /// The same key from two sides, once with other content: whoever comes second loses.
    async fn send_twice_at_once(&self, events: &[BalanceChangeEvent], slot: usize) {
        let world = self.world();
        let other = (slot + 1) % self.fleet.api_count();
        let rival = if world.happens(0.5) {
            events.to_vec()
        } else {
            let first = &events[0];
            let key = first.idempotency_key().as_str();
            vec![self.event(first.account_id().value(), key)]
        };
        let here = self.try_once(events, AckLevel::Logged, slot);
        let there = self.try_once(&rival, AckLevel::Logged, other);
        futures::future::join(here, there).await;
    }

    /// Sends until every event has a definite answer; `false` when it gives up.
    pub async fn send_until_answered(
        &self,
        events: &[BalanceChangeEvent],
        ack: AckLevel,
        slot: usize,
        tries: usize,
    ) -> bool {
        let mut slot = slot;
        for attempt in 0..tries {
            if self.try_once(events, ack, slot).await {
                if attempt > 0 {
                    let tally = &self.world().tally;
                    tally.count("ambiguous answers settled by the same key");
                }
                return true;
            }
            tokio::time::sleep(self.world().millis(10..PAUSE_MILLIS_MAX)).await;
            if self.world().happens(0.3) {
                slot = self.world().pick_place(self.fleet.api_count());
            }
        }
        false
    }

    async fn try_once(&self, events: &[BalanceChangeEvent], ack: AckLevel, slot: usize) -> bool {
        let Some(api) = self.fleet.api(slot) else {
            return false;
        };
        let sent_at = self.notebook.step();
        let first = events[0].idempotency_key();
        self.world().note(
            &self.name,
            &format!("sends {} from {first} to {slot}", events.len()),
        );
        for event in events {
            self.notebook.send(event, api.process.number);
        }
        let answer = self.ask(&api, events, ack).await;
        let answered_at = self.notebook.step();
        let outcomes = match answer {
            Some(Ok(outcomes)) => outcomes,
            Some(Err(SubmitError::BacklogFull { .. })) => {
                self.world().tally.count("backlogs full");
                return false;
            }
            Some(Err(
                SubmitError::Unavailable(_)
                | SubmitError::Denied(_)
                | SubmitError::NotLaidOut
                | SubmitError::Paused { .. },
            ))
            | None => return false,
        };
        let mut settled = true;
        for (event, outcome) in events.iter().zip(outcomes) {
            match outcome {
                SubmitOutcome::Accepted(accepted) => self.notebook.note(Told {
                    event: event.clone(),
                    api: api.process.number,
                    sent_at,
                    answered_at,
                    log_id: accepted.log_id,
                    duplicate: accepted.duplicate,
                    published: accepted.published,
                    state: accepted.state,
                }),
                SubmitOutcome::Refused(refusal) => {
                    self.notebook.note_refused(event.clone(), refusal.code);
                }
                SubmitOutcome::Unknown(_) => settled = false,
            }
        }
        settled
    }

    async fn ask(
        &self,
        api: &Arc<Api>,
        events: &[BalanceChangeEvent],
        ack: AckLevel,
    ) -> Option<Result<Vec<SubmitOutcome>, SubmitError>> {
        let submitted = api.submission.submit(events.to_vec(), ack, None);
        tokio::select! {
            biased;
            () = api.process.death() => None,
            answer = timeout(PATIENCE, submitted) => answer.ok(),
        }
    }

    /// A result, once given, stays.
    async fn ask_again_of_earlier(&self, slot: usize) {
        let Some(event) = self.notebook.some_accepted(self.world()) else {
            return;
        };
        if self.try_once(&[event], AckLevel::Logged, slot).await {
            self.world().tally.count("answers given again");
        }
    }
}
