//! The version of the database's schema.

use super::store_error::StoreError;
use async_trait::async_trait;
use shaku::Interface;

/// Where the schema stands against this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchemaStatus {
    /// The newest migration applied; `None` on an empty database.
    pub applied: Option<i64>,
    /// The newest migration that this build carries.
    pub required: i64,
}

/// Migrates the schema, forward only.
///
/// # Errors
/// [`StoreError`]; running again goes on where it ended.
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait SchemaStore: Interface {
    /// Applies what is missing; gives the status afterwards.
    async fn migrate(&self) -> Result<SchemaStatus, StoreError>;

    /// Where the schema stands.
    async fn status(&self) -> Result<SchemaStatus, StoreError>;
}
