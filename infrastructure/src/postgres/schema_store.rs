//! The schema's version: plain SQL files in `migrations/`, forward only, compiled in.

use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::schema_store::{SchemaStatus, SchemaStore};
use axs_application::port::store_error::StoreError;
use shaku::Component;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use std::sync::Arc;

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// How many days of the change log a migration makes ahead.
pub const CHANGE_LOG_DAYS_AHEAD: i32 = 14;

/// [`SchemaStore`] by sqlx's migrator, which lets one process migrate at a time.
#[derive(Component)]
#[shaku(interface = SchemaStore)]
pub struct PgSchemaStore {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgSchemaStore {
    /// The schema of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }

    fn name(&self) -> StoreName<'_> {
        StoreName::of(&*self.database)
    }

    fn pool(&self) -> &PgPool {
        self.database.operations()
    }
}

#[async_trait]
impl SchemaStore for PgSchemaStore {
    async fn migrate(&self) -> Result<SchemaStatus, StoreError> {
        let before = self.status().await?;
        if let Some(applied) = before.applied
            && applied > before.required
        {
            return Err(self.name().corrupt(format_args!(
                "schema version {applied}, newer than {}, the newest this build knows; \
                 use a newer build: the schema never goes back",
                before.required
            )));
        }
        let pool = patient_pool(self.pool());
        let run = run(&pool, self.name()).await;
        pool.close().await;
        run?;
        self.status().await
    }

    async fn status(&self) -> Result<SchemaStatus, StoreError> {
        let applied = applied_version(self.pool())
            .await
            .map_err(|error| self.name().sqlx(&error))?;
        Ok(SchemaStatus {
            applied,
            required: MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0),
        })
    }
}

/// One connection whose statements take as long as they take: an index on a large table may need
/// hours.
fn patient_pool(pool: &PgPool) -> PgPool {
    let connect = pool.connect_options().as_ref().clone();
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(pool.options().get_acquire_timeout())
        .connect_lazy_with(connect.options([("statement_timeout", "0")]))
}

async fn run(pool: &PgPool, name: StoreName<'_>) -> Result<(), StoreError> {
    MIGRATIONS
        .run(pool)
        .await
        .map_err(|error| name.migration(&error))?;
    sqlx::query("SELECT ensure_change_log_days($1)")
        .bind(CHANGE_LOG_DAYS_AHEAD)
        .execute(pool)
        .await
        .map_err(|error| name.sqlx(&error))?;
    Ok(())
}

async fn applied_version(pool: &PgPool) -> Result<Option<i64>, sqlx::Error> {
    // The migrator's own table is not there on an empty database.
    let there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(pool)
        .await?;
    if !there {
        return Ok(None);
    }
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
        .fetch_one(pool)
        .await
}
