//! A session of plain SQL beside the adapters: a frozen writer, or a stranger.

use crate::support::TestDatabase;
use axs_domain::fencing::Claim;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, Postgres};

pub struct RivalSession {
    connection: PoolConnection<Postgres>,
    pub backend_pid: i32,
}

impl RivalSession {
    pub async fn open(test: &TestDatabase) -> Self {
        let mut connection = test.database().writer().acquire().await.unwrap();
        connection.close_on_drop();
        let backend_pid = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        Self {
            connection,
            backend_pid,
        }
    }

    /// Goes on record as the backend of the claim, as a writer does before its first batch.
    pub async fn record_backend(&mut self, partition: i32, claim: Claim) {
        self.run(&format!(
            "UPDATE partition_leader_locks SET backend_pid = pg_backend_pid()
              WHERE partition = {partition} AND owner = '{}'",
            claim.owner
        ))
        .await
        .unwrap();
    }

    /// Begins a batch and stops behind its fence.
    pub async fn freeze_behind_fence(&mut self, partition: i32) {
        self.run(&format!(
            "BEGIN; SELECT 1 FROM partition_leader_locks WHERE partition = {partition}
             FOR NO KEY UPDATE"
        ))
        .await
        .unwrap();
    }

    pub async fn run(&mut self, statements: &str) -> Result<(), sqlx::Error> {
        self.connection
            .execute(sqlx::raw_sql(AssertSqlSafe(statements)))
            .await
            .map(|_| ())
    }

    pub async fn is_alive(&mut self) -> bool {
        self.run("SELECT 1").await.is_ok()
    }
}

/// Whether anybody waits for the backend.
pub async fn is_waited_for(test: &TestDatabase, backend_pid: i32) -> bool {
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity
          WHERE datname = current_database() AND {backend_pid} = ANY (pg_blocking_pids(pid))"
    );
    test.number(&waiting).await > 0
}

/// Waits until somebody waits for the backend.
pub async fn until_somebody_waits_for(test: &TestDatabase, backend_pid: i32) {
    while !is_waited_for(test, backend_pid).await {
        tokio::task::yield_now().await;
    }
}
