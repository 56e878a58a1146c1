//! Taking balance change events: checked one by one, logged together, answered one by one.
//!
//! The metric `axs_submitted_events_total` counts events by `outcome`: accepted, duplicate, refused
//! or unknown; `axs_backlog_refusals_total` those refused for the backlog of their partition,
//! whether one by one or with their whole request; `axs_submits_checked_anew_total` requests that were
//! checked again in another history of the database. Requests that failed as a whole are the caller's to count.

mod acceptance;
mod key_reuse;

use super::account_lookup::AccountLookup;
use super::ack_level::AckLevel;
use super::backlog::{Backlog, BacklogFull};
use super::currency_lookup::CurrencyLookup;
use super::event_state::EventState;
use super::layout_lookup::{LayoutLookup, LayoutLookupError};
use super::log_changes::{ChangeToLog, LogChanges, LogError, LogOutcome};
use super::publish_events::Publication;
use super::refusal::{Refusal, RefusalCode};
use crate::port::change_log::{ChangeLog, ChangeLogRecord};
use crate::port::event_codec::EventCodec;
use crate::port::layout_store::StoredLayout;
use crate::port::store_error::StoreError;
use acceptance::Acceptance;
use async_trait::async_trait;
use axs_domain::account::Account;
use axs_domain::currency::{CurrencyCode, CurrencySet};
use axs_domain::decision::balance_keys;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{AccountId, LogId, PartitionId};
use axs_domain::log_status::LogStatus;
use key_reuse::key_reused;
use metrics::{Counter, counter};
use shaku::{Component, Interface};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

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
    /// The store lets this process not look up what the events need: a person has to grant it. Nothing
    /// was logged.
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
///   list; across requests to one process, when each is sent after the answer to the one before; and across
///   processes only when the earlier one was `published` before the later one was sent.
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

/// What is counted for nearly every request, looked up once and not each time.
#[derive(Default)]
struct Counters {
    accepted: OnceLock<Counter>,
    backlog_refusals: OnceLock<Counter>,
}

/// How often one request is checked in all: once, and again for each other history of the database that
/// is met meanwhile. It changes with a restart or a failover: more than two during a request mean that
/// something else is wrong.
const CHECKS_MAX: usize = 3;

/// What the checks make of an event.
enum Checked {
    /// It is to be logged.
    ToLog(ChangeToLog),
    /// It is answered, and not logged now.
    Answered(SubmitOutcome),
}

/// An answer that is known but for the wait for the topic.
type Answer = (SubmitOutcome, Option<Publication>);

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

    /// The currencies for these events: read anew when one of them names a code not known yet.
    async fn currencies_for(
        &self,
        events: &[Arc<BalanceChangeEvent>],
    ) -> Result<Arc<CurrencySet>, StoreError> {
        let known = self.currencies.current().await?;
        let names_unknown = |code: CurrencyCode| known.find(code).is_none();
        let keys = events.iter().flat_map(|event| balance_keys(event));
        let mut codes = keys.map(|key| key.currency);
        if codes.any(names_unknown) {
            return self.currencies.refreshed().await;
        }
        Ok(known)
    }

    /// The layout for these accounts: read anew when one lives on a shard not known yet.
    async fn layout_for(
        &self,
        accounts: &HashMap<AccountId, Account>,
    ) -> Result<Arc<StoredLayout>, LayoutLookupError> {
        let known = self.layouts.current().await?;
        let unknown = |a: &Account| known.layout.partition_of(a.shard_id).is_none();
        if accounts.values().any(unknown) {
            return self.layouts.refreshed().await;
        }
        Ok(known)
    }

    async fn check(
        &self,
        events: &[Arc<BalanceChangeEvent>],
        traceparent: Option<&str>,
    ) -> Result<Vec<Checked>, SubmitError> {
        let ids = events.iter().map(|event| event.account_id()).collect();
        let accounts = self.accounts.find(ids).await?;
        let layout = self.layout_for(&accounts.accounts).await?;
        let acceptance = Acceptance {
            layout,
            accounts,
            currencies: self.currencies_for(events).await?,
            codec: self.codec.as_ref(),
            traceparent: traceparent.map(str::to_owned),
        };
        let mut checked = Vec::with_capacity(events.len());
        for event in events {
            checked.push(match acceptance.check(Arc::clone(event))? {
                Ok(change) => Checked::ToLog(change),
                Err(refusal) => match acceptance.earlier_try(Arc::clone(event), &refusal)? {
                    Some(change) => self.unless_new(change, refusal).await,
                    None => Checked::Answered(SubmitOutcome::Refused(refusal)),
                },
            });
        }
        Ok(checked)
    }

    /// Refuses the event unless an earlier try of it passed: that would deny what takes effect. It is to be
    /// logged again then, which meets the row: the log answers for it and, where nobody did, publishes it
    /// before what comes after.
    async fn unless_new(&self, change: ChangeToLog, refusal: Refusal) -> Checked {
        match self.change_log.find_by_key(change.key.clone()).await {
            Ok(Some(_)) => Checked::ToLog(change),
            Ok(None) => Checked::Answered(SubmitOutcome::Refused(refusal)),
            Err(error) => Checked::Answered(SubmitOutcome::Unknown(error.to_string())),
        }
    }

    /// Checks the events and logs those that pass. By what is looked up anew, when the database has
    /// another history than what they were checked by: nothing was logged then.
    async fn log_checked(
        &self,
        events: &[Arc<BalanceChangeEvent>],
        ack_level: AckLevel,
        traceparent: Option<String>,
    ) -> Result<(Vec<Checked>, Vec<LogOutcome>), SubmitError> {
        let mut tries = 1;
        loop {
            let mut checked = self.check(events, traceparent.as_deref()).await?;
            self.refuse_beyond_backlog(&mut checked)?;
            let to_log = checked.iter().filter_map(|checked| match checked {
                Checked::ToLog(change) => Some(change.clone()),
                Checked::Answered(_) => None,
            });
            match self.log.log(to_log.collect(), ack_level).await {
                Ok(logged) => return Ok((checked, logged)),
                Err(LogError::HistoryMoved) if tries < CHECKS_MAX => {
                    tries += 1;
                    metrics::counter!("axs_submits_checked_anew_total").increment(1);
                    self.currencies.refreshed().await?;
                    self.layouts.refreshed().await?;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// Refuses the events of partitions that have too much to decide. The whole request when that
    /// leaves nothing of it, so that a client that knows only statuses waits and tries again.
    ///
    /// Each partition is looked at once a request: of two events of one account, the later one must
    /// not be taken where the earlier one was refused.
    fn refuse_beyond_backlog(&self, checked: &mut [Checked]) -> Result<(), SubmitError> {
        let mut looked_at: HashMap<PartitionId, Option<BacklogFull>> = HashMap::new();
        let mut refused = 0;
        let mut last = None;
        for checked in checked.iter_mut() {
            let Checked::ToLog(change) = checked else {
                continue;
            };
            let partition = change.partition;
            let full = looked_at
                .entry(partition)
                .or_insert_with(|| self.backlog.check(partition).err());
            if let Some(full) = full {
                refused += 1;
                last = Some(full.clone());
                *checked = Checked::Answered(SubmitOutcome::Refused(full.clone().into()));
            }
        }
        self.counters
            .backlog_refusals
            .get_or_init(|| counter!("axs_backlog_refusals_total"))
            .increment(refused);
        match last {
            Some(full) if usize::try_from(refused) == Ok(checked.len()) => {
                Err(SubmitError::BacklogFull {
                    reason: full.to_string(),
                    retry_after: full.retry_after,
                })
            }
            _ => Ok(()),
        }
    }

    fn answer(&self, submitted: &BalanceChangeEvent, outcome: LogOutcome, ack: AckLevel) -> Answer {
        match outcome {
            LogOutcome::Logged {
                log_id,
                logged_at,
                publication,
            } => {
                let accepted = AcceptedEvent {
                    log_id,
                    duplicate: false,
                    published: false,
                    state: EventState::pending(logged_at),
                };
                (SubmitOutcome::Accepted(Box::new(accepted)), publication)
            }
            LogOutcome::Unknown(reason) => (SubmitOutcome::Unknown(reason), None),
            LogOutcome::Known {
                record,
                publication,
            } => (self.answer_known(submitted, *record, ack), publication),
        }
    }

    fn answer_known(
        &self,
        submitted: &BalanceChangeEvent,
        record: ChangeLogRecord,
        ack_level: AckLevel,
    ) -> SubmitOutcome {
        let first = self.codec.decode_payload(record.payload.clone());
        if record.fingerprint != Fingerprint::of(submitted) {
            return SubmitOutcome::Refused(key_reused(submitted, first.ok().as_ref()));
        }
        // The content is the same, so the submitted event has the same changes: only their labels
        // may be others. They stand in where the first event can't be read.
        let state = first
            .and_then(|first| EventState::of(&record, &first))
            .or_else(|error| {
                tracing::error!(log_id = %record.log_id, %error, "a log row can't be read");
                EventState::of(&record, submitted)
            })
            .unwrap_or_else(|_| EventState {
                status: record.status,
                reason: record.reason.clone(),
                entries: Vec::new(),
                logged_at: record.logged_at,
                decided_at: record.decided_at,
            });
        let on_topic = record.status != LogStatus::Init || record.position.is_some();
        SubmitOutcome::Accepted(Box::new(AcceptedEvent {
            log_id: record.log_id,
            duplicate: true,
            published: ack_level == AckLevel::Published && on_topic,
            state,
        }))
    }

    /// One deadline for the whole request: what is published in time is marked so.
    async fn await_publications(&self, answers: Vec<Answer>) -> Vec<SubmitOutcome> {
        let deadline = Instant::now() + self.settings.published_wait;
        let mut outcomes = Vec::with_capacity(answers.len());
        for (mut outcome, publication) in answers {
            if let (SubmitOutcome::Accepted(accepted), Some(publication)) =
                (&mut outcome, publication)
            {
                accepted.published = publication.wait_until(deadline).await;
            }
            outcomes.push(outcome);
        }
        outcomes
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

impl Counters {
    fn report(&self, outcomes: &[SubmitOutcome]) {
        let [mut accepted, mut duplicate, mut refused, mut unknown] = [0; 4];
        for outcome in outcomes {
            match outcome {
                SubmitOutcome::Accepted(event) if event.duplicate => duplicate += 1,
                SubmitOutcome::Accepted(_) => accepted += 1,
                SubmitOutcome::Refused(_) => refused += 1,
                SubmitOutcome::Unknown(_) => unknown += 1,
            }
        }
        if accepted > 0 {
            self.accepted
                .get_or_init(|| events_counted("accepted"))
                .increment(accepted);
        }
        for (outcome, count) in [
            ("duplicate", duplicate),
            ("refused", refused),
            ("unknown", unknown),
        ] {
            if count > 0 {
                events_counted(outcome).increment(count);
            }
        }
    }
}

fn events_counted(outcome: &'static str) -> Counter {
    counter!("axs_submitted_events_total", "outcome" => outcome)
}

#[cfg(test)]
mod tests;
