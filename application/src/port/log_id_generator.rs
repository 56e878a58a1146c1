//! Ids of change log rows.

use axs_domain::id::LogId;
use shaku::Interface;

/// Makes log ids.
///
/// # Contract
/// - Strictly increasing inside a process, even when the wall clock steps back.
/// - No two processes make the same id.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
pub trait LogIdGenerator: Interface {
    /// The next id.
    fn next_id(&self) -> LogId;
}
