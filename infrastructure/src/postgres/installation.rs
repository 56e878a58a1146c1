//! Renewing the installation: the cache of before is forgotten, since nobody asks for its keys any
//! more.
//!
//! | # | statement | why |
//! |---|---|---|
//! | 1 | `lock_change.sql` | the layout first, as a change of it does |
//! | 2 | `lock_leases.sql`, `lock_leaders.sql` | open batches are waited for: a read under the new incarnation sees them |
//! | 3 | `fence_leaders.sql`, `end_leases.sql` | a batch that waits behind 2 would not see 4: its statement is older |
//! | 4 | `renew.sql` | |

use super::error::StoreName;
use super::layout_change::{OPEN_WORK_WAIT_MAX, fence_all, patient};
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::installation::{Installation, Renewal};
use axs_application::port::store_error::StoreError;
use axs_application::port::topic_claims::Claimant;
use axs_domain::incarnation::Incarnation;
use shaku::Component;
use sqlx::postgres::PgTransaction;
use std::sync::Arc;
use uuid::Uuid;

/// [`Installation`] in the row of the layout.
#[derive(Component)]
#[shaku(interface = Installation)]
pub struct PgInstallation {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgInstallation {
    /// The installation of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    async fn try_renew(&self) -> Result<Option<Renewal>, sqlx::Error> {
        let mut transaction = patient(self.database.queries(), OPEN_WORK_WAIT_MAX).await?;
        let layout: Option<(Option<Uuid>, i32)> =
            sqlx::query_as(include_str!("sql/layout/lock_change.sql"))
                .fetch_optional(&mut *transaction)
                .await?;
        let Some((_, epoch)) = layout else {
            return Ok(None);
        };
        let before = incarnation(&mut transaction).await?;
        let fenced = fence_all(&mut transaction, epoch).await?;
        sqlx::query(include_str!("sql/installation/renew.sql"))
            .execute(&mut *transaction)
            .await?;
        let now = incarnation(&mut transaction).await?;
        transaction.commit().await?;
        Ok(Some(Renewal {
            before,
            now,
            fenced: usize::try_from(fenced).unwrap_or(usize::MAX),
        }))
    }
}

#[async_trait]
impl Installation for PgInstallation {
    async fn renew(&self) -> Result<Option<Renewal>, StoreError> {
        self.try_renew()
            .await
            .map_err(|error| StoreName::of(&*self.database).sqlx(&error))
    }

    async fn claimant(&self) -> Result<Claimant, StoreError> {
        let (id, name) = sqlx::query_as(include_str!("sql/installation/claimant.sql"))
            .fetch_one(self.database.queries())
            .await
            .map_err(|error| StoreName::of(&*self.database).sqlx(&error))?;
        Ok(Claimant { id, name })
    }
}

async fn incarnation(transaction: &mut PgTransaction<'static>) -> Result<Incarnation, sqlx::Error> {
    sqlx::query_scalar(include_str!("sql/balance/incarnation.sql"))
        .fetch_one(&mut **transaction)
        .await
        .map(Incarnation::new)
}
