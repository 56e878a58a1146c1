//! What people do with parked events.

use super::change_log::ChangeLogKey;
use super::dead_letters::{DeadLetterId, OperatorNote};
use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::id::LogId;
use axs_domain::log_status::LogStatus;
use shaku::Interface;

/// The row of a parked event as an action met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetEvent {
    /// Its key.
    pub key: ChangeLogKey,
    /// Its id.
    pub log_id: LogId,
    /// Where it stood.
    pub status: LogStatus,
    /// Whether the action took effect; otherwise nothing was changed.
    pub changed: bool,
}

/// Ends the parking of events.
///
/// # Contract
/// - Only a row that is PARKED is changed; of several who try at once, one changes it.
/// - `redrive` makes the row INIT under its own log id and lowers the relay's low-water mark in
///   one transaction, so that the leader's relay publishes it, behind what is on the topic.
/// - `discard` makes the row REJECTED, with the code of a discarded event and the operator's
///   reason. That is final.
/// - Each leaves a record of who did what, when and why, in the same transaction.
///
/// # Errors
/// [`StoreError`]: the outcome is unknown; the same again tells.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ParkedEvents: Interface {
    /// Sends a parked event on its way again. `None` without such an entry or without its row.
    async fn redrive(
        &self,
        id: DeadLetterId,
        note: OperatorNote,
    ) -> Result<Option<MetEvent>, StoreError>;

    /// Gives a parked event up. `None` without such an entry or without its row.
    async fn discard(
        &self,
        id: DeadLetterId,
        note: OperatorNote,
    ) -> Result<Option<MetEvent>, StoreError>;
}
