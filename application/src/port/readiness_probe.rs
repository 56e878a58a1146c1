//! Whether something AXS depends on answers now.

use async_trait::async_trait;
use shaku::Interface;

/// A dependency did not answer as it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ProbeFailure {
    /// What was seen, and what a person may do about it. Without passwords.
    pub reason: String,
}

/// Asks one dependency the cheapest question that shows it is alive.
///
/// # Contract
/// - `check` uses a connection kept for operations, never one that a batch or a request waits
///   for, and changes nothing.
/// - It may be dropped at any await: the caller bounds its time.
///
/// # Errors
/// [`ProbeFailure`]: show it; whether the process is still ready is the caller's to say.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ReadinessProbe: Interface {
    /// What is asked, in one word, e.g. `postgresql`.
    fn name(&self) -> &'static str;

    /// Where it is, without its password.
    fn address(&self) -> String;

    /// Asks it.
    async fn check(&self) -> Result<(), ProbeFailure>;
}
