//! Which consumers are alive.

use super::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::id::OwnerId;
use shaku::Interface;
use std::collections::BTreeMap;
use std::time::Duration;

/// Knows the live consumers, by PostgreSQL's clock.
///
/// # Contract
/// - A consumer is live from its first `check_in` until `ttl` after its last, or `leave`.
///
/// # Errors
/// [`StoreError`]; go on with what was known.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ConsumerRegistry: Interface {
    /// Says that `owner` lives for `ttl` more, and gives all live consumers, itself included.
    async fn check_in(&self, owner: OwnerId, ttl: Duration) -> Result<Vec<OwnerId>, StoreError>;

    /// Says that `owner` ends.
    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError>;

    /// Where live consumers run, as far as they told, for a person.
    async fn places(&self) -> Result<BTreeMap<OwnerId, String>, StoreError>;
}
