//! More than one who would do the same.

use crate::faults::row::{Count, Row};
use crate::faults::scene::Scene;
use anyhow::Result;
use rand::RngExt;
use rustix::process::Signal;
use std::time::Duration;

/// How often leases are ended under their leaders.
const RACES: usize = 20;

/// Consumers that come and go.
const STORM: usize = 6;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "two-relays",
        "an old leader's relay publishes what the new leader's has published",
        |scene| Box::pin(two_relays(scene)),
    )
    .counting(&[Count::TakeOvers, Count::Redeliveries]),
    Row::new(
        "two-leaders",
        "leases end under their leaders again and again, and two consumers race",
        |scene| Box::pin(two_leaders(scene)),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "rebalance-storm",
        "consumers come and go, some in order and some by kill -9",
        |scene| Box::pin(storm(scene)),
    )
    .counting(&[Count::TakeOvers]),
];

async fn two_relays(scene: &mut Scene) -> Result<()> {
    // The API leaves events in the log that nobody published; both leaders' relays find them.
    let point = "relay.before_publish";
    let lost = scene.rng.random_range(60..120);
    scene
        .api(&format!("api.after_log_commit=kill@{lost}"), None)
        .await?;
    scene.api("", None).await?;
    // One leads everything, so that the lost events are its own.
    scene.leader(&format!("{point}=stop"), None).await?;
    scene.led_by(1).await?;
    scene.start_load().await?;
    scene.hit("api.after_log_commit").await?;
    let hit = scene.hit(point).await?;
    scene.leader("", None).await?;
    let owner = scene.leaders[0].owner;
    scene.replaced(owner, hit.at).await?;
    // The new leader's relay has published what the old one holds in its hand.
    scene.all_final_until_now().await?;
    scene.signal(0, Signal::CONT)?;
    scene.results(100).await
}

async fn two_leaders(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    let pool = scene.deployment.database.pool.clone();
    for _ in 0..RACES {
        // As if PostgreSQL's clock had leapt ahead: whoever leads still believes it does, and each
        // candidate finds itself alone and everything free.
        sqlx::raw_sql(
            "DELETE FROM consumers; UPDATE partition_leases SET expires_at = '-infinity'",
        )
        .execute(&pool)
        .await?;
        scene.injected(1).await;
        let pause = scene.rng.random_range(50..400);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    scene.led_by(2).await?;
    scene.results(100).await
}

async fn storm(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    for _ in 0..STORM {
        let victim = scene.rng.random_range(0..scene.leaders.len());
        let mut victim = scene.leaders.remove(victim);
        let newcomer = scene.leader("", None);
        newcomer.await?;
        if scene.rng.random_bool(0.5) {
            victim.process.kill()?;
        } else {
            victim.process.drain().await?;
        }
        scene.injected(1).await;
        let pause = scene.rng.random_range(100..900);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    scene.led_by(scene.leaders.len()).await
}
