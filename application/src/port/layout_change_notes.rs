//! What is known of a change of the layout while it pauses writing.

use super::layout_change::StandingChange;
use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::id::LayoutChangeId;
use shaku::Interface;

/// What the command of a change is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutChangeStep {
    /// It looks, once more, whether everything is final.
    Draining,
    /// It gives the topics the partitions of its raise, which no broker takes back.
    GrowingTopics,
}

/// Tells of the change that pauses writing, and lets its command say that it lives.
///
/// # Contract
/// - `note` is on record before it is answered, and only for a change that still pauses: who is
///   answered `false` must not take the step. So topics that have grown without a note do not
///   exist.
///
/// # Errors
/// [`StoreError`]; every call may be made again.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait LayoutChangeNotes: Interface {
    /// The change that pauses writing, if one does.
    async fn standing(&self) -> Result<Option<StandingChange>, StoreError>;

    /// Notes the next step of a change; `false` when it does not pause any more: it was taken back,
    /// or another command took it over.
    async fn note(
        &self,
        change: LayoutChangeId,
        step: LayoutChangeStep,
    ) -> Result<bool, StoreError>;
}
