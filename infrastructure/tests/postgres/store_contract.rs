//! PostgreSQL's adapters keep what every store must keep: the claims of the application's testkit,
//! which the simulated store is held to as well.

use crate::support;
use axs_application::port::layout_store::LayoutStore;
use axs_application::testkit::contract::Stores;
use axs_application::testkit::stored_layout;
use axs_infrastructure::postgres::balance_store::PgBalanceStore;
use axs_infrastructure::postgres::batch::{BatchWriterSettings, PgBatchWriter};
use axs_infrastructure::postgres::change_log::PgChangeLog;
use axs_infrastructure::postgres::layout_store::PgLayoutStore;
use axs_infrastructure::postgres::leadership::{
    LeadershipSettings, PgConsumerRegistry, PgPartitionLeadership,
};
use axs_infrastructure::postgres::relay_source::PgRelaySource;
use futures::future::BoxFuture;
use std::sync::Arc;

axs_application::store_contract!(crate::store_contract::on_stores);

/// Runs a claim on PostgreSQL's adapters over a database of its own.
fn on_stores(claim: fn(Stores) -> BoxFuture<'static, ()>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(support::on_database(|test| async move {
        let layouts = PgLayoutStore::new(test.database());
        assert!(layouts.create(stored_layout(), Vec::new()).await.unwrap());
        let stores = Stores {
            change_log: Arc::new(PgChangeLog::new(test.database())),
            balances: Arc::new(PgBalanceStore::new(test.database())),
            writer: Arc::new(PgBatchWriter::new(
                test.database(),
                BatchWriterSettings::default(),
            )),
            leadership: Arc::new(PgPartitionLeadership::new(
                test.database(),
                LeadershipSettings::default(),
            )),
            registry: Arc::new(PgConsumerRegistry::new(test.database())),
            relay: Arc::new(PgRelaySource::new(test.database())),
        };
        claim(stores).await;
    }));
}
