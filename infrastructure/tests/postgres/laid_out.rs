//! A database with a layout, for the claims that need shards.

use crate::support::{TestDatabase, on_database};
use axs_application::port::change_log::Placing;
use axs_application::port::layout_store::{LayoutStore, StoredLayout};
use axs_domain::id::LayoutEpoch;
use axs_domain::incarnation::Incarnation;
use axs_domain::layout::{Layout, PoolSpec};
use axs_domain::text::PoolName;
use axs_infrastructure::postgres::layout_store::PgLayoutStore;

/// Runs a claim on a migrated database with [`layout`].
pub async fn on_laid_out_database<Claim>(claim: impl FnOnce(TestDatabase) -> Claim)
where
    Claim: Future<Output = ()> + Send + 'static,
{
    on_database(|test| {
        let store = PgLayoutStore::new(test.database());
        let claim = claim(test);
        async move {
            assert!(
                store
                    .create(layout(), Vec::new())
                    .await
                    .expect("the layout")
            );
            claim.await;
        }
    })
    .await;
}

/// Two pools: `retail` with shards 0 to 19 on partitions 0 and 1 (ten each), `whale` with shards 20
/// to 23 on partition 2. Table partitions hold shards 0–15, 16–19 and 20–23.
pub fn layout() -> StoredLayout {
    let pool = |name, shards, partitions| PoolSpec {
        name: PoolName::parse(name).expect("a pool's name"),
        shards,
        partitions,
    };
    StoredLayout {
        layout: Layout::lay_out(&[pool("retail", 20, 2), pool("whale", 4, 1)]).expect("a layout"),
        events_topic: "axs.events".to_owned(),
        results_topic: Some("axs.results".to_owned()),
        cluster_id: Some("a-cluster".to_owned()),
        grown_to: None,
    }
}

/// The placing by [`layout`] in the history that stands.
pub async fn placing(test: &TestDatabase) -> Placing {
    let incarnation = test.number("SELECT database_incarnation()").await;
    Placing {
        layout_epoch: LayoutEpoch::MIN,
        incarnation: Incarnation::new(incarnation),
    }
}
