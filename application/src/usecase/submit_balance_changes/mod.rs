//! Taking balance change events: checked one by one, logged together, answered one by one.
//!
//! The metric `axs_submitted_events_total` counts events by `outcome`: accepted, duplicate, refused
//! or unknown; `axs_backlog_refusals_total` those refused for the backlog of their partition,
//! whether one by one or with their whole request; `axs_submits_checked_anew_total` requests that
//! were checked again in another history of the database. Requests that failed as a whole are the
//! caller's to count.

mod acceptance;
mod answer;
mod check;
mod counters;
mod key_reuse;

use super::account_lookup::AccountLookup;
use super::ack_level::AckLevel;
use super::backlog::Backlog;
use super::currency_lookup::CurrencyLookup;
use super::event_state::EventState;
use super::layout_lookup::{LayoutLookup, LayoutLookupError};
use super::log_changes::{LogChanges, LogError};
use super::refusal::{Refusal, RefusalCode};
use crate::port::change_log::ChangeLog;
use crate::port::event_codec::EventCodec;
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::id::LogId;
use check::Checked;
use counters::Counters;
use shaku::{Component, Interface};
use std::sync::Arc;
use std::time::Duration;

/// Bounds of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubmitSettings {
    /// Events of one request; 1 or more, at most the publish window.
    pub batch_events_max: usize,
    /// How long a request for [`AckLevel::Published`] waits for the topic.
    pub published_wait: Duration,
}

/// A logged event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedEvent {
    /// The id of its change log row.
    pub log_id: LogId,
    /// Whether the key was known with the same content: the state is that of the first event.
    pub duplicate: bool,
    /// Whether the event is known to be on the topic. Always false for [`AckLevel::Logged`]. False
    /// for [`AckLevel::Published`] means that the wait ended first: the event will be published,
    /// and sending it again tells so once it is final, or some seconds after it reached the topic.
    pub published: bool,
    /// Where it stands.
    pub state: EventState,
}

/// What became of one event. Paths in a refusal begin at the event, e.g.
/// `changes[0].available_delta`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubmitOutcome {
    /// It is logged, now or earlier under the same key.
    Accepted(Box<AcceptedEvent>),
    /// It was not taken: no log row, no effect.
    Refused(Refusal),
    /// It is unknown whether it is logged, and why; its neighbours are not concerned. Sending the
    /// same key again settles it.
    Unknown(String),
}

/// Why a request as a whole was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The outcome is unknown. Sending the same keys again settles it.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The store lets this process not look up what the events need: a person has to grant it.
    /// Nothing was logged.
    #[error("{0}")]
    Denied(String),
    /// Nothing was logged, and nothing can be before an operator has made the layout.
    #[error("{}", LayoutLookupError::NotLaidOut)]
    NotLaidOut,
    /// Nothing was logged. Try again after the pause.
    #[error("{reason}")]
    BacklogFull {
        /// What is full, with its figures.
        reason: String,
        /// The pause.
        retry_after: Duration,
    },
    /// Nothing was logged: the layout is being changed. Try again after the pause.
    #[error("nothing is logged while the layout is changed")]
    Paused {
        /// The pause.
        retry_after: Duration,
    },
}

impl From<StoreError> for SubmitError {
    fn from(error: StoreError) -> Self {
        match error {
            // Looking up comes before logging.
            StoreError::Denied { .. } => Self::Denied(error.to_string()),
            StoreError::Unavailable { .. } | StoreError::Corrupt { .. } => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

impl From<LayoutLookupError> for SubmitError {
    fn from(error: LayoutLookupError) -> Self {
        match error {
            LayoutLookupError::Store(error) => error.into(),
            LayoutLookupError::NotLaidOut => Self::NotLaidOut,
        }
    }
}

impl From<LogError> for SubmitError {
    fn from(error: LogError) -> Self {
        let text = error.to_string();
        match error {
            LogError::Unavailable(reason) => Self::Unavailable(reason),
            LogError::BacklogFull { retry_after, .. } => Self::BacklogFull {
                reason: text,
                retry_after,
            },
            LogError::Paused { retry_after } => Self::Paused { retry_after },
            LogError::HistoryMoved => Self::Unavailable(text),
        }
    }
}

/// Takes balance change events.
///
/// # Contract
/// - Outcomes stand in the order of the events. A refused event never fails its neighbours.
/// - An accepted event is durably logged. Events of one account take effect in the order of the
///   list; across requests to one process, when each is sent after the answer to the one before;
///   and across processes only when the earlier one was `published` before the later one was sent.
/// - The same key with the same content is answered with the first event's state; with other
///   content it is refused. Copies inside one list are no exception.
/// - Dropping the future does not stop what was taken.
///
/// # Errors
/// [`SubmitError`]; see there what the caller does.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait SubmitBalanceChanges: Interface {
    /// Takes events that are sound in themselves. `traceparent` is the W3C trace context of the
    /// request, which goes along to the topic.
    async fn submit(
        &self,
        events: Vec<BalanceChangeEvent>,
        ack_level: AckLevel,
        traceparent: Option<String>,
    ) -> Result<Vec<SubmitOutcome>, SubmitError>;
}

/// Checks events against accounts, currencies and layout, and logs those that pass.
#[derive(Component)]
#[shaku(interface = SubmitBalanceChanges)]
pub struct BalanceChangeSubmission {
    #[shaku(inject)]
    accounts: Arc<dyn AccountLookup>,
    #[shaku(inject)]
    currencies: Arc<dyn CurrencyLookup>,
    #[shaku(inject)]
    layouts: Arc<dyn LayoutLookup>,
    #[shaku(inject)]
    codec: Arc<dyn EventCodec>,
    #[shaku(inject)]
    log: Arc<dyn LogChanges>,
    #[shaku(inject)]
    change_log: Arc<dyn ChangeLog>,
    #[shaku(inject)]
    backlog: Arc<dyn Backlog>,
    /// The bounds of a submission.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: SubmitSettings,
    #[shaku(force_default)]
    counters: Counters,
}

impl BalanceChangeSubmission {
    /// A submission over these lookups and this log.
    #[must_use]
    #[expect(
        clippy::too_many_arguments,
        reason = "one for each port, as the container gives them"
    )]
    pub fn new(
        accounts: Arc<dyn AccountLookup>,
        currencies: Arc<dyn CurrencyLookup>,
        layouts: Arc<dyn LayoutLookup>,
        codec: Arc<dyn EventCodec>,
        log: Arc<dyn LogChanges>,
        change_log: Arc<dyn ChangeLog>,
        backlog: Arc<dyn Backlog>,
        settings: SubmitSettings,
    ) -> Self {
        Self {
            accounts,
            currencies,
            layouts,
            codec,
            log,
            change_log,
            backlog,
            settings,
            counters: Counters::default(),
        }
    }

    fn too_many(&self, found: usize) -> SubmitOutcome {
        let max = self.settings.batch_events_max;
        SubmitOutcome::Refused(Refusal {
            code: RefusalCode::InvalidField,
            message: format!("the request holds {found} events; at most {max} are allowed"),
            violations: Vec::new(),
            retry_after: None,
        })
    }
}

#[async_trait]
impl SubmitBalanceChanges for BalanceChangeSubmission {
    async fn submit(
        &self,
        events: Vec<BalanceChangeEvent>,
        ack_level: AckLevel,
        traceparent: Option<String>,
    ) -> Result<Vec<SubmitOutcome>, SubmitError> {
        if events.len() > self.settings.batch_events_max {
            return Ok(vec![self.too_many(events.len()); events.len()]);
        }
        let events: Vec<_> = events.into_iter().map(Arc::new).collect();
        let (checked, logged) = self.log_checked(&events, ack_level, traceparent).await?;
        let mut logged = logged.into_iter();
        let mut answers = Vec::with_capacity(checked.len());
        for checked in checked {
            answers.push(match checked {
                Checked::Answered(outcome) => (outcome, None),
                Checked::ToLog(change) => match logged.next() {
                    Some(outcome) => self.answer(&change.event, outcome, ack_level),
                    None => {
                        let reason = "the log answered fewer outcomes than events".to_owned();
                        return Err(SubmitError::Unavailable(reason));
                    }
                },
            });
        }
        let outcomes = self.await_publications(answers).await;
        self.counters.report(&outcomes);
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests;
