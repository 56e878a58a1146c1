//! What a load leaves on disk.

use crate::report::Figures;
use anyhow::{Context, Result};
use axs_tests::deployment::Deployment;
use std::path::Path;

/// Tables by what they hold, indexes with them.
const TABLES: [(&str, &str); 4] = [
    ("payloads, a day droppable", "balance_change_logs"),
    ("states", "balance_change_states"),
    ("ledger entries", "ledger_entries"),
    ("balances", "account_balances"),
];

/// The unit of what is added.
const UNIT: &str = "bytes/event";

/// Bytes by what they are, at one moment.
#[derive(Debug)]
pub struct DiskUse(Vec<(String, i64)>);

impl DiskUse {
    /// Looks at the tables, at how much WAL was ever written, and, where the broker's folder is
    /// known, at the topics.
    ///
    /// # Errors
    /// PostgreSQL is away, or a topic's folder can't be read.
    pub async fn of(deployment: &Deployment) -> Result<Self> {
        let pool = &deployment.database.pool;
        let mut bytes = Vec::new();
        for (name, table) in TABLES {
            let size: i64 = sqlx::query_scalar(
                "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree($1::regclass)",
            )
            .bind(table)
            .fetch_one(pool)
            .await?;
            bytes.push((format!("disk, {name}"), size));
        }
        let wal = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
        let wal: i64 = sqlx::query_scalar(wal).fetch_one(pool).await?;
        bytes.push(("disk, WAL written".to_owned(), wal));
        if let Some(folder) = &deployment.servers.kafka_folder {
            for (name, topic) in [
                ("events topic", &deployment.topic.name),
                ("result topic", &deployment.results.name),
            ] {
                bytes.push((format!("disk, {name}"), size_of_topic(folder, topic)?));
            }
        }
        Ok(Self(bytes))
    }

    /// Adds what came on top of `before`, in bytes an event.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a disk")]
    pub fn add_growth_to(&self, before: &Self, case: &str, events: u64, figures: &mut Figures) {
        for ((measure, now), (_, then)) in self.0.iter().zip(&before.0) {
            figures.add(case, measure, UNIT, (now - then) as f64 / events as f64);
        }
    }
}

/// The bytes of the segments of a topic's partitions.
fn size_of_topic(folder: &Path, topic: &str) -> Result<i64> {
    let mut size = 0;
    for partition in std::fs::read_dir(folder)? {
        let partition = partition?;
        let name = partition.file_name();
        let of_topic = name.to_str().and_then(|name| name.rsplit_once('-'));
        if of_topic.is_none_or(|(name, _)| name != topic) {
            continue;
        }
        for file in std::fs::read_dir(partition.path())? {
            let file = file?.path();
            if file.extension().is_some_and(|it| it == "log") {
                size += i64::try_from(file.metadata()?.len()).context("a segment's size")?;
            }
        }
    }
    Ok(size)
}
