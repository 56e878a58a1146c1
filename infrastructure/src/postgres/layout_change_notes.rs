//! What is known of a change of the layout while it pauses writing.

use super::error::StoreName;
use super::layout_change::kind_of;
use super::pool::Database;
use super::stored::timestamp;
use async_trait::async_trait;
use axs_application::port::layout_change::StandingChange;
use axs_application::port::layout_change_notes::{LayoutChangeNotes, LayoutChangeStep};
use axs_application::port::store_error::StoreError;
use axs_domain::id::LayoutChangeId;
use chrono::{DateTime, Utc};
use shaku::Component;
use std::sync::Arc;
use std::time::Duration;

/// [`LayoutChangeNotes`] in the one row of `layout`.
#[derive(Component)]
#[shaku(interface = LayoutChangeNotes)]
pub struct PgLayoutChangeNotes {
    #[shaku(inject)]
    database: Arc<dyn Database>,
}

impl PgLayoutChangeNotes {
    /// The notes of this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl LayoutChangeNotes for PgLayoutChangeNotes {
    async fn standing(&self) -> Result<Option<StandingChange>, StoreError> {
        standing(&*self.database).await
    }

    async fn note(
        &self,
        change: LayoutChangeId,
        step: LayoutChangeStep,
    ) -> Result<bool, StoreError> {
        let statement = match step {
            LayoutChangeStep::Draining => include_str!("sql/layout/note_step.sql"),
            LayoutChangeStep::GrowingTopics => include_str!("sql/layout/note_growth.sql"),
        };
        let noted = sqlx::query(statement)
            .bind(change.uuid())
            .execute(self.database.queries())
            .await
            .map_err(|error| StoreName::of(&*self.database).sqlx(&error))?;
        Ok(noted.rows_affected() > 0)
    }
}

/// The change that pauses writing.
pub(super) async fn standing(
    database: &dyn Database,
) -> Result<Option<StandingChange>, StoreError> {
    type Row = (String, Option<i32>, DateTime<Utc>, i64);
    let name = StoreName::of(database);
    let row: Option<Row> = sqlx::query_as(include_str!("sql/layout/standing_change.sql"))
        .fetch_optional(database.queries())
        .await
        .map_err(|error| name.sqlx(&error))?;
    row.map(|(kind, count, paused_at, silent_ms)| {
        Ok(StandingChange {
            kind: kind_of(&kind, count)
                .ok_or_else(|| name.invalid("change_kind", &kind, "is no change"))?,
            paused_since: timestamp(paused_at),
            silent_for: Duration::from_millis(u64::try_from(silent_ms).unwrap_or(0)),
        })
    })
    .transpose()
}
