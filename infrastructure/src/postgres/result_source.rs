//! Results as the change log keeps them.

use super::change_log_record::read_results;
use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::change_log::ChangeLogKey;
use axs_application::port::result_source::{ResultSource, StoredResult};
use axs_application::port::store_error::StoreError;
use shaku::Component;
use std::sync::Arc;

/// [`ResultSource`] over states and ledger entries.
#[derive(Component)]
#[shaku(interface = ResultSource)]
pub struct PgResultSource {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgResultSource {
    /// The results of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl ResultSource for PgResultSource {
    async fn find(&self, keys: Vec<ChangeLogKey>) -> Result<Vec<Option<StoredResult>>, StoreError> {
        let name = StoreName::of(&*self.database);
        read_results(self.database.queries(), name, &keys).await
    }
}
