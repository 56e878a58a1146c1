//! Records handed to the producer whose delivery was not reported yet.

use crate::port::event_publisher::{Delivery, PublishError};
use axs_domain::id::AccountId;
use metrics::counter;
use std::collections::{HashSet, VecDeque};

/// One round's records on their way, of each account one at most.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    waiting: VecDeque<(AccountId, Delivery)>,
    accounts: HashSet<AccountId>,
    delivered: usize,
}

impl UnderWay {
    /// Whether a record of the account is on its way.
    pub(super) fn holds(&self, account_id: AccountId) -> bool {
        self.accounts.contains(&account_id)
    }

    /// Takes a record in.
    pub(super) fn add(&mut self, account_id: AccountId, delivery: Delivery) {
        self.accounts.insert(account_id);
        self.waiting.push_back((account_id, delivery));
    }

    /// Waits for the report of the oldest; `false` when nothing is on its way.
    ///
    /// # Errors
    /// It was not delivered.
    pub(super) async fn next(&mut self) -> Result<bool, PublishError> {
        let Some((account_id, delivery)) = self.waiting.pop_front() else {
            return Ok(false);
        };
        let reported = delivery.report().await;
        self.accounts.remove(&account_id);
        reported?;
        counter!("axs_relayed_events_total").increment(1);
        self.delivered += 1;
        Ok(true)
    }

    /// Waits for every report.
    ///
    /// # Errors
    /// The first that says that a record was not delivered, once all are in.
    pub(super) async fn rest(&mut self) -> Result<(), PublishError> {
        let mut first = Ok(());
        loop {
            match self.next().await {
                Ok(true) => {}
                Ok(false) => return first,
                Err(failure) => first = first.and(Err(failure)),
            }
        }
    }

    /// How many were delivered.
    pub(super) const fn delivered(&self) -> usize {
        self.delivered
    }
}
