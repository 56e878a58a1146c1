//! [`ConsumerRegistry`] over the table of consumers.

use super::partition_leadership::lease_millis;
use crate::postgres::error::StoreName;
use crate::postgres::pool::Database;
use crate::process::place;
use async_trait::async_trait;
use axs_application::port::consumer_registry::ConsumerRegistry;
use axs_application::port::store_error::StoreError;
use axs_domain::id::OwnerId;
use shaku::Component;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const CHECK_IN: &str = include_str!("../sql/leadership/check_in.sql");
const NAMES: &str = include_str!("../sql/leadership/consumer_names.sql");
const LEAVE: &str = include_str!("../sql/leadership/leave.sql");

/// [`ConsumerRegistry`] in PostgreSQL; rows whose time is over are swept by whoever checks in.
#[derive(Component)]
#[shaku(interface = ConsumerRegistry)]
pub struct PgConsumerRegistry {
    #[shaku(inject)]
    database: Arc<dyn Database>,
    /// Where the consumers that check in here run.
    #[shaku(default = place())]
    place: String,
}

impl PgConsumerRegistry {
    /// The registry in this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self {
            database,
            place: place(),
        }
    }

    fn failed(&self, error: &sqlx::Error) -> StoreError {
        StoreName {
            address: self.database.address(),
        }
        .sqlx(error)
    }
}

#[async_trait]
impl ConsumerRegistry for PgConsumerRegistry {
    async fn check_in(&self, owner: OwnerId, ttl: Duration) -> Result<Vec<OwnerId>, StoreError> {
        let live: Vec<Uuid> = sqlx::query_scalar(CHECK_IN)
            .bind(owner.uuid())
            .bind(lease_millis(ttl))
            .bind(&self.place)
            .fetch_all(self.database.operations())
            .await
            .map_err(|error| self.failed(&error))?;
        Ok(live.into_iter().map(OwnerId::new).collect())
    }

    async fn leave(&self, owner: OwnerId) -> Result<(), StoreError> {
        sqlx::query(LEAVE)
            .bind(owner.uuid())
            .execute(self.database.operations())
            .await
            .map(|_| ())
            .map_err(|error| self.failed(&error))
    }

    async fn places(&self) -> Result<BTreeMap<OwnerId, String>, StoreError> {
        let rows: Vec<(Uuid, String)> = sqlx::query_as(NAMES)
            .fetch_all(self.database.operations())
            .await
            .map_err(|error| self.failed(&error))?;
        let places = rows.into_iter();
        Ok(places.map(|(id, name)| (OwnerId::new(id), name)).collect())
    }
}
