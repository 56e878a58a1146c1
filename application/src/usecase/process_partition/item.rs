//! A record on its way through the worker.

use crate::port::batch_writer::{CulpritKind, DeadLetterReason};
use crate::port::change_log::{ChangeLogKey, RecordedReason};
use crate::port::record_source::InboundRecord;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{LogId, Offset};
use axs_domain::record_digest::RecordDigest;
use axs_domain::time::Timestamp;
use std::hash::{Hash, Hasher};

/// A record and what it was found to be. Kept until its batch is committed, so that it can be
/// decided again.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) record: InboundRecord,
    pub(super) verdict: Verdict,
}

/// What a record was found to be.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// An event to decide.
    Event(Box<AdmittedEvent>),
    /// An event that can't be decided; its row is parked.
    Parked(Box<AdmittedEvent>, RecordedReason),
    /// No effect; the bytes are kept.
    Dead {
        reason: DeadLetterReason,
        log_id: Option<LogId>,
        message: String,
    },
    /// Its row was final before. No effect, nothing to keep.
    Redelivered,
}

/// A decoded event of this partition.
#[derive(Debug, Clone)]
pub(super) struct AdmittedEvent {
    pub(super) identity: EventIdentity,
    pub(super) event: BalanceChangeEvent,
}

/// What makes two records copies of one event: all that is matched against the log row. A forged
/// record with the id of a real one but other content has another identity, so both go on, and
/// the log row tells which is real.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventIdentity {
    pub(super) log_id: LogId,
    pub(super) key: ChangeLogKey,
    pub(super) fingerprint: Fingerprint,
    pub(super) logged_at: Timestamp,
}

/// By the log id alone, which is nearly always enough to tell two apart; equality looks at all.
impl Hash for EventIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.log_id.hash(state);
    }
}

impl Item {
    pub(super) const fn offset(&self) -> Offset {
        self.record.offset
    }

    /// What the record is known by again.
    pub(super) fn digest(&self) -> RecordDigest {
        RecordDigest::of(&self.record.key, &self.record.payload)
    }

    /// Whether the record came to nothing, as a person would not expect.
    pub(super) const fn is_poison(&self) -> bool {
        matches!(self.verdict, Verdict::Dead { .. } | Verdict::Parked(..))
    }

    /// The event that is to be decided.
    pub(super) const fn event(&self) -> Option<&AdmittedEvent> {
        match &self.verdict {
            Verdict::Event(admitted) => Some(admitted),
            _ => None,
        }
    }

    /// What identifies the row that the record will finalise.
    pub(super) const fn identity(&self) -> Option<&EventIdentity> {
        match &self.verdict {
            Verdict::Event(admitted) | Verdict::Parked(admitted, _) => Some(&admitted.identity),
            _ => None,
        }
    }

    /// Notes what the store found wrong with the event's row. `false` when the record was no
    /// event, so that nothing could be wrong with it.
    pub(super) fn convict(&mut self, kind: CulpritKind) -> bool {
        let Some(log_id) = self.identity().map(|identity| identity.log_id) else {
            return false;
        };
        self.verdict = match kind {
            CulpritKind::NotInit => Verdict::Redelivered,
            CulpritKind::NoLogRow => Verdict::Dead {
                reason: DeadLetterReason::NoLogRow,
                log_id: Some(log_id),
                message: "no log row has this account, key and log id".to_owned(),
            },
            CulpritKind::DiffersFromLog => Verdict::Dead {
                reason: DeadLetterReason::DiffersFromLog,
                log_id: Some(log_id),
                message: "the log row with this key holds other content, time or id".to_owned(),
            },
        };
        true
    }

    /// Takes a parking back, so that the event is decided again.
    pub(super) fn unpark(&mut self) {
        let verdict = std::mem::replace(&mut self.verdict, Verdict::Redelivered);
        self.verdict = match verdict {
            Verdict::Parked(admitted, _) => Verdict::Event(admitted),
            other => other,
        };
    }

    /// Parks the event. `false` when the record is no event that was to be decided.
    pub(super) fn park(&mut self, reason: RecordedReason) -> bool {
        let verdict = std::mem::replace(&mut self.verdict, Verdict::Redelivered);
        let (verdict, parked) = match verdict {
            Verdict::Event(admitted) => (Verdict::Parked(admitted, reason), true),
            other => (other, false),
        };
        self.verdict = verdict;
        parked
    }
}
