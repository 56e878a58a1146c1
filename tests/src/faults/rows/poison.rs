//! Records that can't be decided, in the middle of batches.

use crate::deadline::{Look, Patience, until};
use crate::faults::row::Row;
use crate::faults::scene::{PARTITIONS, Scene};
use crate::faults::witness;
use anyhow::{Context, Result, ensure};
use axs_proto::v1::BalanceChangeEnvelope;
use prost::Message;
use std::time::Duration;

/// Poison records of one kind, in each partition.
const EACH: usize = 3;

/// A version that no build knows.
const NEWER: u32 = 99;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "poison-undecodable",
        "undecodable records and such of an unknown old version, in the middle of batches",
        |scene| Box::pin(undecodable(scene)),
    ),
    Row::new(
        "poison-newer-version",
        "a record of a newer version stops its partition, and it goes on once it is dealt with",
        |scene| Box::pin(newer_version(scene)),
    ),
    Row::new(
        "poison-forged",
        "copies of records with other amounts, in the middle of batches",
        |scene| Box::pin(forged(scene)),
    ),
    Row::new(
        "overflow",
        "deposits beyond what a balance can hold, in the middle of batches",
        |scene| Box::pin(overflow(scene)),
    ),
];

async fn undecodable(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    let version_0 = BalanceChangeEnvelope {
        schema_version: 0,
        ..BalanceChangeEnvelope::default()
    };
    let poison: [&[u8]; 3] = [b"\xff\x00 no envelope", b"", &version_0.encode_to_vec()];
    let mut written = 0;
    for _ in 0..EACH {
        for partition in 0..i32::try_from(PARTITIONS)? {
            let offsets = scene
                .deployment
                .topic
                .write_all(partition, "1", &poison)
                .await?;
            written += offsets.len();
        }
        scene.injected(1).await;
        scene.results(40).await?;
    }
    let found = dead_letters(scene, written).await?;
    ensure!(found == written, "{found} dead letters of {written}");
    Ok(())
}

async fn forged(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    let mut written = 0;
    for record in scene.deployment.topic.records_of(PARTITIONS).await? {
        let mut envelope = BalanceChangeEnvelope::decode(record.payload.as_slice())?;
        let event = envelope.event.as_mut().context("an event")?;
        event.changes[0].available_delta = "777".to_owned();
        scene
            .deployment
            .topic
            .write_message(record.partition, "1", &envelope)
            .await?;
        written += 1;
        if written == EACH * 3 {
            break;
        }
    }
    scene.injected(written as u64).await;
    // What is final already makes its forgeries redeliveries; none may have an effect.
    scene.results(100).await
}

async fn newer_version(scene: &mut Scene) -> Result<()> {
    scene.cast("", "").await?;
    let newer = BalanceChangeEnvelope {
        schema_version: NEWER,
        ..BalanceChangeEnvelope::default()
    };
    let partition = 0;
    let topic = &scene.deployment.topic;
    let offset = topic.write_message(partition, "1", &newer).await?;
    let pool = scene.deployment.database.pool.clone();
    until(
        "the partition to stop there",
        Patience::PROCESS,
        async || {
            let stored = stored_offset(&pool, partition).await?;
            ensure!(
                stored <= offset,
                "it was skipped: {stored} is past {offset}"
            );
            Ok(if stored == offset {
                Look::There(())
            } else {
                Look::NotYet(format!("{stored} of {offset}"))
            })
        },
    )
    .await?;
    scene.injected(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stored = stored_offset(&pool, partition).await?;
    ensure!(
        stored == offset,
        "it was skipped: {stored} is past {offset}"
    );
    until("its results to be out", Patience::PROCESS, async || {
        let out = results_offset(&pool, partition).await?;
        Ok(if out == offset {
            Look::There(())
        } else {
            Look::NotYet(format!("{out} of {offset}"))
        })
    })
    .await?;
    witness::pass_over(&pool, partition, offset).await?;
    scene.results(100).await
}

async fn overflow(scene: &mut Scene) -> Result<()> {
    use crate::faults::load::send;
    use crate::model::whole;
    use crate::script::{change, event};
    use axs_proto::v1::AckLevel;
    use num_bigint::BigInt;

    scene.cast("", "").await?;
    let most = whole(999_999_999_999_999_999);
    let (api, client) = scene.roster.pick(0).context("no API")?;
    for number in 0..EACH * 4 {
        // The session's own overflows go to this account too; each under a key of its own.
        let changes = vec![change("in", "JPY", &most, &BigInt::ZERO)];
        let key = format!("over-{number}");
        let event = event(900, &key, "deposit", "", changes);
        let sent = send(&client, api, vec![event], AckLevel::Logged, false).await;
        scene.journal.note(sent);
        // At once: it was only just logged.
        scene.injected(1).await;
        scene.results(5).await?;
    }
    until("an overflow to be refused", Patience::PROCESS, async || {
        let refused = scene
            .deployment
            .database
            .number("SELECT count(*) FROM balance_change_states WHERE reason_code = 3")
            .await?;
        Ok(if refused > 0 {
            Look::There(())
        } else {
            Look::NotYet("none".to_owned())
        })
    })
    .await
}

async fn dead_letters(scene: &Scene, wanted: usize) -> Result<usize> {
    until("the dead letters", Patience::PROCESS, async || {
        let found = scene.deployment.database.dead_letters().await?.len();
        Ok(if found < wanted {
            Look::NotYet(format!("{found} of {wanted}"))
        } else {
            Look::There(found)
        })
    })
    .await
}

async fn results_offset(pool: &sqlx::PgPool, partition: i32) -> Result<i64> {
    Ok(
        sqlx::query_scalar(
            "SELECT results_offset FROM partition_leader_locks WHERE partition = $1",
        )
        .bind(partition)
        .fetch_one(pool)
        .await?,
    )
}

async fn stored_offset(pool: &sqlx::PgPool, partition: i32) -> Result<i64> {
    Ok(
        sqlx::query_scalar("SELECT stored_offset FROM partition_leader_locks WHERE partition = $1")
            .bind(partition)
            .fetch_one(pool)
            .await?,
    )
}
