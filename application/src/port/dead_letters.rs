//! What came to nothing and waits for a person: dead records and parked events.

use super::change_log::{ChangeLogKey, REASON_LENGTH_MAX};
use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::id::{AccountId, LogId, Offset, PartitionId};
use axs_domain::time::Timestamp;
use bytes::Bytes;
use shaku::Interface;
use std::fmt;

/// Names one entry, of either kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeadLetterId(pub i64);

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterKind {
    /// A record of the topic that had no effect. It never was an accepted event, or a copy of one.
    Dead,
    /// An accepted event that could not be decided.
    Parked,
}

impl DeadLetterKind {
    /// Every kind, in the order of the numbers.
    pub const ALL: [Self; 2] = [Self::Dead, Self::Parked];

    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Dead => 0,
            Self::Parked => 1,
        }
    }

    /// The word for people and scripts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Parked => "parked",
        }
    }
}

/// What was done with an entry. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterState {
    /// Nothing yet.
    Open,
    /// Its event is INIT again, or was, and takes its way through the topic.
    Redriven,
    /// Given up.
    Discarded,
    /// Its event was final already.
    Settled,
}

impl DeadLetterState {
    /// Every state, in the order of the numbers.
    pub const ALL: [Self; 4] = [Self::Open, Self::Redriven, Self::Discarded, Self::Settled];

    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Open => 0,
            Self::Redriven => 1,
            Self::Discarded => 2,
            Self::Settled => 3,
        }
    }

    /// The word for people and scripts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
            Self::Settled => "settled",
        }
    }
}

/// The reason word of a parked event; those of dead records are `DeadLetterReason`'s.
pub const PARKED_REASON: &str = "PARKED";

/// Which entries are meant. Everything left out matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterFilter {
    /// Of one kind.
    pub kind: Option<DeadLetterKind>,
    /// Of one partition.
    pub partition: Option<PartitionId>,
    /// With one reason word.
    pub reason: Option<String>,
    /// Of one account; for a dead record, the account that its key names.
    pub account_id: Option<AccountId>,
    /// Only those with which nothing was done.
    pub open_only: bool,
}

/// An entry in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterSummary {
    /// Its id.
    pub id: DeadLetterId,
    /// What it is about.
    pub kind: DeadLetterKind,
    /// What was done with it.
    pub state: DeadLetterState,
    /// Where the record stood.
    pub partition: PartitionId,
    /// Where the record stood.
    pub offset: Offset,
    /// The log id, where one could be read.
    pub log_id: Option<LogId>,
    /// The account; for a dead record, the one that its key names, if it names one.
    pub account_id: Option<AccountId>,
    /// The reason word.
    pub reason: String,
    /// The reason for a person.
    pub message: String,
    /// When it came to nothing, last, by PostgreSQL's clock.
    pub at: Timestamp,
    /// How often it was parked; 1 for a dead record.
    pub times: i32,
}

/// What an entry is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterBody {
    /// The record as it was.
    Record {
        /// Its key.
        key: Bytes,
        /// Its payload.
        payload: Bytes,
    },
    /// The row of the change log that is parked.
    Row(ChangeLogKey),
}

/// Something that somebody did with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedAction {
    /// REDRIVEN, DISCARDED or SETTLED.
    pub action: String,
    /// Who, as the operator's system says.
    pub operator: String,
    /// Who, as the database says.
    pub database_user: String,
    /// Why.
    pub reason: String,
    /// When, by PostgreSQL's clock.
    pub at: Timestamp,
}

/// Everything that is kept of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterEntry {
    /// The line.
    pub summary: DeadLetterSummary,
    /// The rest.
    pub body: DeadLetterBody,
    /// What was done with it, the first first.
    pub actions: Vec<RecordedAction>,
}

/// How many entries have one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonCount {
    /// The reason word.
    pub reason: String,
    /// How many.
    pub entries: u64,
}

/// A name or a reason that an operator gave can't be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must have 1 to {REASON_LENGTH_MAX} bytes and no control characters")]
pub struct OperatorNoteError {
    /// Which of the two.
    pub what: &'static str,
}

/// Who does something with an entry, and why. Both have 1 to [`REASON_LENGTH_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorNote {
    operator: String,
    reason: String,
}

impl OperatorNote {
    /// A note with the texts trimmed.
    ///
    /// # Errors
    /// [`OperatorNoteError`] names the text that is empty, too long or not printable.
    pub fn parse(operator: &str, reason: &str) -> Result<Self, OperatorNoteError> {
        let checked = |what: &'static str, text: &str| {
            let text = text.trim();
            let fits = (1..=REASON_LENGTH_MAX).contains(&text.len());
            if fits && !text.chars().any(char::is_control) {
                Ok(text.to_owned())
            } else {
                Err(OperatorNoteError { what })
            }
        };
        Ok(Self {
            operator: checked("the operator's name", operator)?,
            reason: checked("the reason", reason)?,
        })
    }

    /// Who.
    #[must_use]
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What becomes of a dead record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordSettlement {
    /// Its event is INIT: the relay of its partition is to look again.
    Redriven(ChangeLogKey),
    /// Its event is final already.
    Settled,
    /// It is given up; its bytes stay.
    Discarded,
}

/// Lists dead records and parked events, and keeps what was done with dead records.
///
/// # Contract
/// - Both kinds share their ids, and are listed in the order of the ids.
/// - `settle` changes an open dead record and leaves a [`RecordedAction`] in one transaction; of
///   several at once one finds it open.
///
/// # Errors
/// [`StoreError`]; after `settle` the outcome is unknown, and settling again tells.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait DeadLetters: Interface {
    /// A page of entries behind `after`.
    async fn list(
        &self,
        filter: DeadLetterFilter,
        after: Option<DeadLetterId>,
        limit: u32,
    ) -> Result<Vec<DeadLetterSummary>, StoreError>;

    /// How many entries match, by reason.
    async fn count_by_reason(
        &self,
        filter: DeadLetterFilter,
    ) -> Result<Vec<ReasonCount>, StoreError>;

    /// One entry.
    async fn find(&self, id: DeadLetterId) -> Result<Option<DeadLetterEntry>, StoreError>;

    /// Notes what becomes of a dead record; gives the state in which it was met: `Open` when this
    /// call changed it, and nothing was changed otherwise. `None` when there is no such record.
    async fn settle(
        &self,
        id: DeadLetterId,
        settlement: RecordSettlement,
        note: OperatorNote,
    ) -> Result<Option<DeadLetterState>, StoreError>;
}
