//! What the servers themselves say about durability: a test must not pass because a crash loses
//! nothing here.

use crate::stage::{cast, deposit};
use anyhow::Result;
use axs_proto::v1::AckLevel;
use axs_tests::deployment::Deployment;
use axs_tests::server::KafkaKind;

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_runs_with_full_durability() -> Result<()> {
    let deployment = Deployment::builder("durability_pg").prepare().await?;
    for name in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(
            deployment.database.server_setting(name).await?,
            "on",
            "{name}"
        );
    }
    deployment.abandon();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_written_by_an_idempotent_producer_so_that_every_replica_acknowledges()
-> Result<()> {
    let deployment = Deployment::builder("durability_kafka")
        .apis(1)
        .start()
        .await?;
    if deployment.servers.kafka == KafkaKind::Mock || deployment.servers.kafka_folder.is_none() {
        let reason = "the log's files of a private Apache Kafka are read";
        axs_tests::server::note_skipped("records_are_written_by_an_idempotent_producer", reason)?;
        deployment.abandon();
        return Ok(());
    }
    deployment.furnish(&cast()).await?;
    let events: Result<Vec<_>> = (1..=20)
        .map(|account| deposit(account, "in", "USDT", "1"))
        .collect();
    deployment
        .client(0)?
        .submit(&events?, AckLevel::Published)
        .await?;
    let mut seen = 0;
    for partition in 0..3 {
        if let Some(idempotent) = deployment.topic.first_batch_is_idempotent(partition)? {
            assert!(idempotent, "partition {partition}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no partition holds a record");
    deployment.abandon();
    Ok(())
}
