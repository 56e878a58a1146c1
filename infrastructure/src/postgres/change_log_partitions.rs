//! The change log's daily table partitions.

use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::change_log_partitions::ChangeLogPartitions;
use axs_application::port::store_error::StoreError;
use shaku::Component;
use std::sync::Arc;

/// [`ChangeLogPartitions`] by the schema's function `ensure_change_log_days`.
#[derive(Component)]
#[shaku(interface = ChangeLogPartitions)]
pub struct PgChangeLogPartitions {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgChangeLogPartitions {
    /// The days of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl ChangeLogPartitions for PgChangeLogPartitions {
    async fn ensure_ahead(&self, days: u16) -> Result<u32, StoreError> {
        let name = StoreName::of(&*self.database);
        let made: i32 = sqlx::query_scalar("SELECT ensure_change_log_days($1)")
            .bind(i32::from(days))
            .fetch_one(self.database.queries())
            .await
            .map_err(|error| name.sqlx(&error))?;
        u32::try_from(made).map_err(|error| name.invalid("days made", made, error))
    }
}
