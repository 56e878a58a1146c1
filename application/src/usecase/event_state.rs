//! Where an event stands, as a client is told.

use crate::port::change_log::{ChangeLogRecord, RecordedReason};
use crate::port::event_codec::PayloadError;
use axs_domain::decision::LedgerEntry;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::log_status::LogStatus;
use axs_domain::text::ChangeId;
use axs_domain::time::Timestamp;

/// What one applied change left, with the client's label of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledEntry {
    /// The client's label.
    pub change_id: ChangeId,
    /// What the change left.
    pub entry: LedgerEntry,
}

/// Where an event stands, and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventState {
    /// INIT is *pending* to a client.
    pub status: LogStatus,
    /// Why the event was rejected or parked.
    pub reason: Option<RecordedReason>,
    /// What an applied event left: one entry for each change, in order.
    pub entries: Vec<LabelledEntry>,
    /// PostgreSQL's time of writing the log row.
    pub logged_at: Timestamp,
    /// PostgreSQL's time of the decision.
    pub decided_at: Option<Timestamp>,
}

impl EventState {
    /// A new event: logged, not decided.
    #[must_use]
    pub const fn pending(logged_at: Timestamp) -> Self {
        Self {
            status: LogStatus::Init,
            reason: None,
            entries: Vec::new(),
            logged_at,
            decided_at: None,
        }
    }

    /// The state of a log row, whose entries get their labels from the row's event.
    ///
    /// # Errors
    /// [`PayloadError`] when an entry belongs to a change that the event does not have.
    pub fn of(record: &ChangeLogRecord, event: &BalanceChangeEvent) -> Result<Self, PayloadError> {
        let label = |entry: &LedgerEntry| {
            let change = event
                .changes()
                .get(entry.change_index)
                .ok_or_else(|| PayloadError {
                    reason: format!(
                        "log row {} has an entry of change {} but its event has {} changes",
                        record.log_id,
                        entry.change_index,
                        event.changes().len()
                    ),
                })?;
            Ok(LabelledEntry {
                change_id: change.change_id.clone(),
                entry: *entry,
            })
        };
        Ok(Self {
            status: record.status,
            reason: record.reason.clone(),
            entries: record.entries.iter().map(label).collect::<Result<_, _>>()?,
            logged_at: record.logged_at,
            decided_at: record.decided_at,
        })
    }
}
