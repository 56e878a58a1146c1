//! What became of rows.

use super::StoreClient;
use async_trait::async_trait;
use axs_application::port::change_log::{ChangeLogKey, ChangeLogRecord};
use axs_application::port::result_codec::FinishedOutcome;
use axs_application::port::result_source::{ResultSource, StoredResult};
use axs_application::port::store_error::StoreError;
use axs_domain::log_status::LogStatus;

#[async_trait]
impl ResultSource for StoreClient {
    async fn find(&self, keys: Vec<ChangeLogKey>) -> Result<Vec<Option<StoredResult>>, StoreError> {
        self.statement("find results", move |state, _| {
            let find = |key| state.rows.get(key).cloned().and_then(stored_result);
            keys.iter().map(find).collect()
        })
        .await
    }
}

/// The result of a row that is final.
pub fn stored_result(row: ChangeLogRecord) -> Option<StoredResult> {
    let outcome = match row.status {
        LogStatus::Applied => FinishedOutcome::Applied(row.entries),
        LogStatus::Rejected => FinishedOutcome::Rejected(row.reason?),
        LogStatus::Init | LogStatus::Parked => return None,
    };
    let (partition, offset) = row.position?;
    Some(StoredResult {
        log_id: row.log_id,
        key: row.key,
        partition,
        offset,
        outcome,
        logged_at: row.logged_at,
        decided_at: row.decided_at?,
    })
}
