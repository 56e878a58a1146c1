//! Redis, without which nothing may go wrong.

use crate::faults::row::Row;
use crate::faults::scene::{Doors, Scene};
use crate::faults::server::{Server, control};
use crate::proxy::Way;
use anyhow::Result;
use std::time::Duration;

/// Slower than the product waits for a round trip, half of the time.
const SLOW: Duration = Duration::from_millis(150);

/// How long Redis may take to forget everything; the library's own half a second is short of what a
/// large Redis on a busy machine needs.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(10);

pub(super) const ROWS: &[Row] = &[
    Row::new("redis-flushed", "FLUSHALL, three times", |scene| {
        Box::pin(flushed(scene))
    })
    .on_own_servers(),
    Row::new(
        "redis-restarted",
        "Redis is restarted under load",
        |scene| Box::pin(restarted(scene)),
    )
    .on_own_servers(),
    Row::new("redis-down", "Redis is away for everybody", |scene| {
        Box::pin(behind_doors(scene, Way::Cut))
    }),
    Row::new(
        "redis-silent",
        "Redis takes everything and answers nothing",
        |scene| Box::pin(behind_doors(scene, Way::Held)),
    ),
    Row::new("redis-slow", "Redis is slow for everybody", |scene| {
        Box::pin(behind_doors(scene, Way::Slow(SLOW)))
    }),
];

async fn flushed(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    let client = ::redis::Client::open(scene.deployment.servers.redis.as_str())?;
    let patient = ::redis::AsyncConnectionConfig::new().set_response_timeout(Some(FLUSH_WAIT_MAX));
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&patient)
        .await?;
    for _ in 0..3 {
        let _: () = ::redis::cmd("FLUSHALL")
            .query_async(&mut connection)
            .await?;
        scene.injected(1).await;
        scene.results(80).await?;
    }
    Ok(())
}

async fn restarted(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    scene.injected(1).await;
    control("kill", Server::Redis).await?;
    scene.results(100).await?;
    control("start", Server::Redis).await?;
    scene.results(100).await
}

async fn behind_doors(scene: &mut Scene, way: Way) -> Result<()> {
    let doors = scene.doors().await?;
    everybody_behind(scene, &doors).await?;
    doors.redis.set(way);
    scene.injected(1).await;
    scene.results(200).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.results(100).await?;
    doors.redis.set(Way::Open);
    scene.keep(doors);
    Ok(())
}

async fn everybody_behind(scene: &mut Scene, doors: &Doors) -> Result<()> {
    scene.api("", Some(doors)).await?;
    scene.api("", Some(doors)).await?;
    scene.leader("", Some(doors)).await?;
    scene.leader("", Some(doors)).await?;
    scene.led_by(2).await?;
    scene.begin_load().await
}
