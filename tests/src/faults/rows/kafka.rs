//! Kafka itself, and records that come again.

use crate::faults::row::{Count, Row};
use crate::faults::scene::Scene;
use crate::faults::server::{Server, control};
use crate::faults::witness;
use anyhow::Result;
use std::time::Duration;

/// Longer than any delivery of a record takes, by the product's settings.
const LONG_OUTAGE: Duration = Duration::from_secs(15);

/// Records of each partition that come again.
const AGAIN: usize = 60;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "kafka-restarted",
        "Kafka is restarted under load",
        |scene| Box::pin(down(scene, Duration::from_secs(1))),
    )
    .on_own_servers(),
    Row::new(
        "kafka-down-long",
        "Kafka is down for longer than the delivery timeout",
        |scene| Box::pin(down(scene, LONG_OUTAGE)),
    )
    .on_own_servers(),
    Row::new(
        "records-again",
        "the last records of every partition are delivered again",
        |scene| Box::pin(records_again(scene)),
    )
    .counting(&[Count::Redeliveries]),
    Row::new(
        "offset-rewound",
        "the stored offset of every partition is set back to 0",
        |scene| Box::pin(rewound(scene)),
    )
    .counting(&[Count::Redeliveries]),
];

async fn down(scene: &mut Scene, how_long: Duration) -> Result<()> {
    scene.cast("", "").await?;
    scene.injected(1).await;
    control("stop", Server::Kafka).await?;
    tokio::time::sleep(how_long).await;
    control("start", Server::Kafka).await?;
    scene.results(200).await
}

async fn records_again(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    for _ in 0..2 {
        let topic = &scene.deployment.topic;
        let records = topic.records_of(crate::faults::scene::PARTITIONS).await?;
        for partition in 0..i32::try_from(crate::faults::scene::PARTITIONS)? {
            let of_partition: Vec<&[u8]> = records
                .iter()
                .filter(|record| record.partition == partition)
                .map(|record| record.payload.as_slice())
                .collect();
            let last = &of_partition[of_partition.len().saturating_sub(AGAIN)..];
            topic.write_all(partition, "again", last).await?;
        }
        scene.injected(1).await;
        scene.results(100).await?;
    }
    Ok(())
}

async fn rewound(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    let rewound = witness::rewind(&scene.deployment.database.pool).await?;
    scene.injected(rewound).await;
    scene.results(100).await
}
