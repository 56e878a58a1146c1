//! What clients were told.

use crate::world::{World, lock};
use axs_application::usecase::event_state::EventState;
use axs_application::usecase::refusal::RefusalCode;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::LogId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// One acceptance that reached a client.
#[derive(Debug, Clone)]
pub struct Told {
    pub event: BalanceChangeEvent,
    /// The run of the API process that answered.
    pub api: u64,
    /// Steps of the notebook: an event sent after another was answered has the larger number.
    pub sent_at: u64,
    pub answered_at: u64,
    pub log_id: LogId,
    pub duplicate: bool,
    pub published: bool,
    pub state: EventState,
}

fn name_of(event: &BalanceChangeEvent) -> (i64, String) {
    let key = event.idempotency_key().as_str().to_owned();
    (event.account_id().value(), key)
}

/// All of them.
#[derive(Default)]
pub struct Notebook {
    steps: AtomicU64,
    /// By account and key: the runs of API processes that it was sent to.
    sent: Mutex<BTreeMap<(i64, String), BTreeSet<u64>>>,
    told: Mutex<Vec<Told>>,
    refused: Mutex<Vec<(BalanceChangeEvent, RefusalCode)>>,
    in_doubt: Mutex<Vec<Vec<BalanceChangeEvent>>>,
}

impl Notebook {
    pub fn step(&self) -> u64 {
        self.steps.fetch_add(1, Ordering::SeqCst)
    }

    pub fn send(&self, event: &BalanceChangeEvent, api: u64) {
        let key = name_of(event);
        lock(&self.sent).entry(key).or_default().insert(api);
    }

    /// Whether one run of an API process alone was ever sent the event.
    pub fn was_sent_once(&self, event: &BalanceChangeEvent) -> bool {
        let sent = lock(&self.sent);
        sent.get(&name_of(event))
            .is_some_and(|apis| apis.len() == 1)
    }

    pub fn note(&self, told: Told) {
        lock(&self.told).push(told);
    }

    pub fn note_refused(&self, event: BalanceChangeEvent, code: RefusalCode) {
        lock(&self.refused).push((event, code));
    }

    pub fn leave_in_doubt(&self, events: Vec<BalanceChangeEvent>) {
        lock(&self.in_doubt).push(events);
    }

    pub fn take_in_doubt(&self) -> Vec<Vec<BalanceChangeEvent>> {
        std::mem::take(&mut *lock(&self.in_doubt))
    }

    pub fn told(&self) -> Vec<Told> {
        lock(&self.told).clone()
    }

    pub fn refused(&self) -> Vec<(BalanceChangeEvent, RefusalCode)> {
        lock(&self.refused).clone()
    }

    /// Any event that was accepted.
    pub fn some_accepted(&self, world: &World) -> Option<BalanceChangeEvent> {
        let told = lock(&self.told);
        let place = (!told.is_empty()).then(|| world.pick_place(told.len()))?;
        Some(told[place].event.clone())
    }
}
