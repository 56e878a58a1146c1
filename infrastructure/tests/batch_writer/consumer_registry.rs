//! Which consumers are alive.

use crate::fixture::new_owner;
use crate::support::on_database;
use axs_application::port::consumer_registry::ConsumerRegistry;
use axs_domain::id::OwnerId;
use axs_infrastructure::postgres::leadership::PgConsumerRegistry;
use std::time::Duration;

const LIFE: Duration = Duration::from_secs(60);

fn sorted(mut owners: Vec<OwnerId>) -> Vec<OwnerId> {
    owners.sort_unstable();
    owners
}

#[tokio::test]
async fn who_checks_in_is_live_until_it_leaves_or_its_time_is_over() {
    on_database(async |test| {
        let registry = PgConsumerRegistry::new(test.database());
        let [one, two, three] = [new_owner(), new_owner(), new_owner()];
        assert_eq!(registry.check_in(one, LIFE).await, Ok(vec![one]));
        for owner in [two, three] {
            registry.check_in(owner, LIFE).await.unwrap();
        }
        let live = registry.check_in(one, LIFE).await.unwrap();
        assert_eq!(live, sorted(vec![one, two, three]));

        let places = registry.places().await.unwrap();
        assert!(places.keys().eq(&sorted(vec![one, two, three])));
        let here = format!(", pid {}", std::process::id());
        assert!(places[&one].ends_with(&here), "{places:?}");

        registry.leave(two).await.unwrap();
        test.execute(&format!(
            "UPDATE consumers SET live_until = clock_timestamp() WHERE owner = '{three}'"
        ))
        .await;
        assert!(registry.places().await.unwrap().keys().eq(&[one]));
        assert_eq!(registry.check_in(one, LIFE).await, Ok(vec![one]));
        let rows = "SELECT count(*) FROM consumers";
        assert_eq!(test.number(rows).await, 1, "what is over is swept");

        // Late is not gone: who checks in again lives again.
        let live = registry.check_in(three, LIFE).await.unwrap();
        assert_eq!(live, sorted(vec![one, three]));
    })
    .await;
}

#[tokio::test]
async fn consumers_that_come_back_all_at_once_do_not_wait_for_each_other() {
    on_database(async |test| {
        let registry = PgConsumerRegistry::new(test.database());
        let owners: Vec<OwnerId> = (0..8).map(|_| new_owner()).collect();
        for _ in 0..10 {
            let check_ins = owners.iter().map(|owner| registry.check_in(*owner, LIFE));
            for live in futures::future::join_all(check_ins).await {
                live.unwrap();
            }
            test.execute("UPDATE consumers SET live_until = clock_timestamp()")
                .await;
        }
    })
    .await;
}
