//! Whether PostgreSQL answers.

use super::error::StoreName;
use super::pool::Database;
use async_trait::async_trait;
use axs_application::port::readiness_probe::{ProbeFailure, ReadinessProbe};
use std::sync::Arc;

/// Asks PostgreSQL the cheapest question, over the connections kept for operations.
pub struct PgProbe {
    database: Arc<dyn Database>,
}

impl PgProbe {
    /// Asks this database.
    #[must_use]
    pub fn new(database: Arc<dyn Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl ReadinessProbe for PgProbe {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    fn address(&self) -> String {
        self.database.address().to_owned()
    }

    async fn check(&self) -> Result<(), ProbeFailure> {
        sqlx::query("SELECT 1")
            .execute(self.database.operations())
            .await
            .map(|_| ())
            .map_err(|error| ProbeFailure {
                reason: StoreName::of(self.database.as_ref())
                    .sqlx(&error)
                    .to_string(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::pool::{DatabaseSettings, PgDatabase, PgPools};
    use std::time::Duration;

    fn probe(url: &str) -> PgProbe {
        let bound = Duration::from_secs(2);
        let settings = DatabaseSettings {
            url: url.to_owned(),
            writer_connections: 1,
            query_connections: 1,
            operations_connections: 1,
            connect_timeout: bound,
            acquire_timeout: bound,
            statement_timeout: bound,
            idle_in_transaction_timeout: bound,
            max_lifetime: Duration::from_secs(60),
        };
        let pools = PgPools::try_new(&settings).unwrap();
        PgProbe::new(Arc::new(PgDatabase::new(pools)))
    }

    #[tokio::test]
    async fn a_server_that_answers_is_there() {
        let url = std::env::var("AXS_TEST_DATABASE_URL")
            .expect("AXS_TEST_DATABASE_URL is not set: run the tests by `make test`");
        assert_eq!(probe(&url).check().await, Ok(()));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_without_its_password() {
        // A port that was free a moment ago: nobody listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let probe = probe(&format!("postgres://axs:secret@127.0.0.1:{port}/ledger"));
        let failure = probe.check().await.unwrap_err();
        let address = format!("postgres://axs@127.0.0.1:{port}/ledger");
        assert_eq!(probe.address(), address);
        assert!(failure.reason.contains(&address), "{failure}");
        assert!(!failure.reason.contains("secret"), "{failure}");
    }
}
