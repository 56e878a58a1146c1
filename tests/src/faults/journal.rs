//! What clients sent and what they were answered.

use crate::model::Key;
use axs_proto::v1::{BalanceChangeEvent, EventState, RefusalCode, SubmitResult, submit_result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tonic::{Code, Status};

/// An answer to one event of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Logged, now or before.
    Accepted {
        /// The log id.
        log_id: String,
        /// Whether the key was known.
        duplicate: bool,
        /// Where it stood.
        state: Box<EventState>,
    },
    /// Not taken, for good.
    Refused(RefusalCode),
    /// Turned away as a whole: nothing was logged.
    TurnedAway,
    /// Nobody knows.
    Unknown(String),
}

impl Answer {
    /// The answer in a result.
    #[must_use]
    pub fn of(result: SubmitResult) -> Self {
        match result.outcome {
            Some(submit_result::Outcome::Accepted(accepted)) => Self::Accepted {
                log_id: accepted.log_id,
                duplicate: accepted.duplicate,
                state: Box::new(accepted.state.unwrap_or_default()),
            },
            Some(submit_result::Outcome::Refused(refusal)) => Self::Refused(refusal.code()),
            Some(submit_result::Outcome::Unknown(unknown)) => Self::Unknown(format!("{unknown:?}")),
            None => Self::Unknown("a result without an outcome".to_owned()),
        }
    }

    /// The answer in a status: only a full backlog says that nothing was logged.
    #[must_use]
    pub fn of_status(status: &Status) -> Self {
        if status.code() == Code::ResourceExhausted {
            Self::TurnedAway
        } else {
            Self::Unknown(format!("{:?}: {}", status.code(), status.message()))
        }
    }
}

/// One event sent once.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The event.
    pub event: BalanceChangeEvent,
    /// The API process that it went to: each that is started has its own number.
    pub api: usize,
    /// Whether it was sent only after everything before it, of its account, was answered.
    pub in_sequence: bool,
    /// What came back.
    pub answer: Answer,
}

impl Sent {
    /// Account and idempotency key.
    #[must_use]
    pub fn key(&self) -> Key {
        (self.event.account_id, self.event.idempotency_key.clone())
    }
}

/// All that was sent, in the order of the answers; of one account in the order of sending.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<Sent>>>);

impl Journal {
    /// Notes answered events.
    pub fn note(&self, sent: impl IntoIterator<Item = Sent>) {
        self.lock().extend(sent);
    }

    /// A copy of all.
    #[must_use]
    pub fn all(&self) -> Vec<Sent> {
        self.lock().clone()
    }

    /// The log id of the n-th event that was accepted, counted round and round.
    #[must_use]
    pub fn accepted(&self, number: usize) -> Option<String> {
        let all = self.lock();
        let at = number.checked_rem(all.len())?;
        all[at..].iter().find_map(|sent| match &sent.answer {
            Answer::Accepted { log_id, .. } => Some(log_id.clone()),
            _ => None,
        })
    }

    /// How many were sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
