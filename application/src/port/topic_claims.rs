//! Which database a topic belongs to, before anything is written to it.

use super::event_topic::BrokerError;
use async_trait::async_trait;
use shaku::Interface;
use std::fmt;

/// A database, as its server names it: the same through restarts and failovers, another one for a
/// database that is made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// What tells it from every other, without a blank.
    pub id: String,
    /// Its name, for a person.
    pub name: String,
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database {} ({})", self.name, self.id)
    }
}

/// Whose a topic is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicClaim {
    /// The claimant's, now or since before.
    Own,
    /// Another's. Nothing was changed.
    Foreign(Claimant),
}

/// Keeps claims to topics beside the topics, with the brokers: two databases may know nothing of
/// each other.
///
/// # Contract
/// - Of two that claim a topic at once, at most one is told that it is its own.
/// - A claim writes nothing to the topic, ends with it, and may be repeated.
/// - A claim need not outlive the time in which a topic is without records: those show by
///   themselves that it is taken.
///
/// # Errors
/// [`BrokerError`]: whether the claim stands is unknown. Claiming again settles it.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait TopicClaims: Interface {
    /// Claims a topic that nobody claims.
    async fn claim(&self, topic: String, claimant: Claimant) -> Result<TopicClaim, BrokerError>;

    /// Claims a topic whoever claims it now.
    async fn take_over(&self, topic: String, claimant: Claimant) -> Result<(), BrokerError>;
}
