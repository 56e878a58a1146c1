//! The leader without one of its servers.

use crate::faults::row::{Count, Row};
use crate::faults::scene::{Scene, moment};
use crate::proxy::Way;
use anyhow::Result;
use std::time::Duration;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "leader-without-kafka",
        "the leader is cut off from Kafka alone",
        |scene| Box::pin(replaced(scene, |doors| doors.kafka.set(Way::Cut))),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "leader-without-postgres",
        "the leader is cut off from PostgreSQL alone",
        |scene| Box::pin(replaced(scene, |doors| doors.postgres.set(Way::Cut))),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "leader-postgres-silent",
        "what the leader and PostgreSQL send each other is swallowed",
        |scene| Box::pin(replaced(scene, |doors| doors.postgres.set(Way::Held))),
    )
    .counting(&[Count::TakeOvers]),
    Row::new(
        "leader-without-redis",
        "the leader is cut off from Redis alone",
        |scene| Box::pin(without_redis(scene)),
    ),
];

async fn replaced(scene: &mut Scene, cut: fn(&crate::faults::scene::Doors)) -> Result<()> {
    let doors = scene.doors().await?;
    scene.cast_behind(&doors).await?;
    let (owner, since) = (scene.leaders[0].owner, moment());
    cut(&doors);
    scene.injected(1).await;
    scene.replaced(owner, since).await?;
    scene.results(100).await?;
    for door in [&doors.postgres, &doors.kafka, &doors.redis] {
        door.set(Way::Open);
    }
    scene.keep(doors);
    scene.led_by(2).await
}

/// Nobody takes over, and everything goes on.
async fn without_redis(scene: &mut Scene) -> Result<()> {
    let doors = scene.doors().await?;
    scene.cast_behind(&doors).await?;
    doors.redis.set(Way::Cut);
    scene.injected(1).await;
    scene.results(300).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.led_by(2).await?;
    doors.redis.set(Way::Open);
    scene.keep(doors);
    scene.results(100).await
}
