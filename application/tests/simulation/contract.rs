//! The simulated store keeps what PostgreSQL keeps: the same claims, over the same ports.

use crate::process::Process;
use crate::scenario::Told;
use crate::store::{StoreBreaks, StoreClient, StoreServer};
use crate::world::World;
use axs_application::testkit::contract::Stores;
use axs_application::testkit::stored_layout;
use futures::future::BoxFuture;
use std::sync::Arc;

axs_application::store_contract!(crate::contract::on_stores);

/// Runs a claim on a fresh simulated store, in calm weather.
fn on_stores(claim: fn(Stores) -> BoxFuture<'static, ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async move {
        let world = Arc::new(World::new(0, &Told::default()));
        world.weather.calm_down();
        let client = Arc::new(StoreClient {
            server: StoreServer::new(&world, stored_layout(), StoreBreaks::default()),
            process: Process::start(&world, "contract", 1),
        });
        let stores = Stores {
            change_log: client.clone(),
            balances: client.clone(),
            writer: client.clone(),
            leadership: client.clone(),
            registry: client.clone(),
            relay: client,
        };
        claim(stores).await;
    });
}
