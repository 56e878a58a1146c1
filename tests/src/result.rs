//! The result topic as its consumers read it, and what must hold of it.

use crate::deadline::{Look, Patience, until};
use crate::deployment::Deployment;
use anyhow::{Context, Result, ensure};
use axs_proto::v1::{BalanceChangeResult, EventStatus};
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How long the results of final events may take.
const OUT_WITHIN: Duration = Duration::from_secs(60);

/// What was found on the result topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultsSeen {
    /// Events with a result.
    pub events: usize,
    /// Records that were copies of earlier ones.
    pub copies: usize,
}

/// A final row, as the database keeps it.
#[derive(sqlx::FromRow)]
struct FinalRow {
    log_id: String,
    account_id: i64,
    idempotency_key: String,
    status: i16,
    reason_code: Option<i16>,
    partition: i32,
    record_offset: i64,
    decided_at_usec: i64,
}

/// A ledger entry, as the database keeps it.
#[derive(sqlx::FromRow)]
struct EntryRow {
    log_id: String,
    change_index: i16,
    currency_code: String,
    branch: i16,
    available_delta: String,
    frozen_delta: String,
    available_after: String,
    frozen_after: String,
    version: i64,
}

impl Deployment {
    /// Waits until every final event has its result on the topic, and compares each with the
    /// database: which events, in which order, how they ended, and the balances after them.
    ///
    /// # Errors
    /// A result is missing after the bound, or one is not what the database holds.
    pub async fn compare_results(&self) -> Result<ResultsSeen> {
        let rows = self.final_rows().await?;
        let what = format!("the results of {} events", rows.len());
        let partitions = until(&what, Patience::of(OUT_WITHIN), async || {
            let partitions = self.read_results().await?;
            let seen = first_copies(&partitions).len();
            Ok(if seen >= rows.len() {
                Look::There(partitions)
            } else {
                Look::NotYet(format!("{seen} are there"))
            })
        })
        .await?;
        check_order(&partitions)?;
        let first = first_copies(&partitions);
        ensure!(
            first.len() == rows.len(),
            "{} events have a result, {} are final",
            first.len(),
            rows.len()
        );
        let entries = self.entries().await?;
        for row in &rows {
            let result = first
                .get(row.log_id.as_str())
                .with_context(|| format!("no result of {}", row.log_id))?;
            check_result(
                row,
                entries.get(&row.log_id).map_or(&[], Vec::as_slice),
                result,
            )?;
        }
        let records: usize = partitions.values().map(Vec::len).sum();
        Ok(ResultsSeen {
            events: first.len(),
            copies: records - first.len(),
        })
    }

    /// Every record of the result topic, by partition, in its order.
    async fn read_results(&self) -> Result<BTreeMap<i32, Vec<BalanceChangeResult>>> {
        let mut partitions = BTreeMap::new();
        let count = self.topic.partition_count().await?;
        for partition in 0..i32::try_from(count)? {
            let mut results = Vec::new();
            for (key, payload) in self.results.read_all(partition).await? {
                let result = BalanceChangeResult::decode(payload.as_slice())?;
                ensure!(
                    key == result.account_id.to_string().as_bytes(),
                    "{result:?}"
                );
                ensure!(result.event_partition == partition, "{result:?}");
                ensure!(result.schema_version == 1, "{result:?}");
                results.push(result);
            }
            partitions.insert(partition, results);
        }
        Ok(partitions)
    }

    async fn final_rows(&self) -> Result<Vec<FinalRow>> {
        let rows = sqlx::query_as(
            "SELECT log_id::text, account_id, idempotency_key, status, reason_code, partition,
                    record_offset, (extract(epoch FROM decided_at) * 1000000)::bigint AS decided_at_usec
               FROM balance_change_states WHERE status IN (1, 2)",
        );
        Ok(rows.fetch_all(&self.database.pool).await?)
    }

    async fn entries(&self) -> Result<HashMap<String, Vec<EntryRow>>> {
        let rows: Vec<EntryRow> = sqlx::query_as(
            "SELECT log_id::text, change_index, currency_code, branch, version,
                    trim_scale(available_delta)::text AS available_delta,
                    trim_scale(frozen_delta)::text AS frozen_delta,
                    trim_scale(available_after)::text AS available_after,
                    trim_scale(frozen_after)::text AS frozen_after
               FROM ledger_entries ORDER BY log_id, change_index",
        )
        .fetch_all(&self.database.pool)
        .await?;
        let mut entries: HashMap<String, Vec<EntryRow>> = HashMap::new();
        for row in rows {
            entries.entry(row.log_id.clone()).or_default().push(row);
        }
        Ok(entries)
    }
}

/// The first record of each event.
fn first_copies(
    partitions: &BTreeMap<i32, Vec<BalanceChangeResult>>,
) -> HashMap<&str, &BalanceChangeResult> {
    let mut first = HashMap::new();
    for result in partitions.values().flatten() {
        first.entry(result.log_id.as_str()).or_insert(result);
    }
    first
}

/// First copies stand in the order of decisions, and later copies are the same.
fn check_order(partitions: &BTreeMap<i32, Vec<BalanceChangeResult>>) -> Result<()> {
    for (partition, results) in partitions {
        let mut first: HashMap<&str, &BalanceChangeResult> = HashMap::new();
        let mut last = -1;
        for result in results {
            if let Some(earlier) = first.insert(&result.log_id, result) {
                ensure!(earlier == result, "two results: {earlier:?} and {result:?}");
            } else {
                ensure!(
                    result.event_offset > last,
                    "partition {partition}: the result at offset {} came after that at {last}",
                    result.event_offset
                );
                last = result.event_offset;
            }
        }
    }
    Ok(())
}

fn check_result(row: &FinalRow, entries: &[EntryRow], result: &BalanceChangeResult) -> Result<()> {
    let status = if row.status == 1 {
        EventStatus::Applied
    } else {
        EventStatus::Rejected
    };
    let code = result.reason.as_ref().map(|reason| reason.code);
    let same = result.status() == status
        && code == row.reason_code.map(i32::from)
        && result.account_id == row.account_id
        && result.idempotency_key == row.idempotency_key
        && result.event_partition == row.partition
        && result.event_offset == row.record_offset
        && result.decided_at_usec == row.decided_at_usec
        && result.entries.len() == entries.len();
    ensure!(same, "{result:?} is not what row {} says", row.log_id);
    for (entry, told) in entries.iter().zip(&result.entries) {
        let same = told.change_index == i32::from(entry.change_index)
            && told.currency_code == entry.currency_code
            && told.fallback_taken == (entry.branch == 1)
            && told.available_delta == entry.available_delta
            && told.frozen_delta == entry.frozen_delta
            && told.available_after == entry.available_after
            && told.frozen_after == entry.frozen_after
            && told.version == entry.version;
        ensure!(
            same,
            "{told:?} is not what the entry of {} says",
            row.log_id
        );
    }
    Ok(())
}
