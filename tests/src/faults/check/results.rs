//! The result topic: I8.

use super::facts::{APPLIED, Facts, REJECTED};
use crate::deployment::Deployment;
use crate::faults::invariant::{Invariant, Violations};
use crate::faults::scene::PARTITIONS;
use anyhow::Result;
use axs_proto::v1::BalanceChangeResult;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};

/// First copies in the order of decisions, later copies the same, each as the database has it.
///
/// # Errors
/// A server is away.
pub(super) async fn check(
    deployment: &Deployment,
    facts: &Facts,
    violations: &mut Violations,
) -> Result<()> {
    if let Err(error) = deployment.compare_results().await {
        let standing = standing(deployment, facts).await?;
        violations.add(
            Invariant::I8,
            format!("the result topic: {error:#}; {standing}"),
        );
    }
    Ok(())
}

/// What each partition has decided, what its topic holds, and what its leader believes to be out.
async fn standing(deployment: &Deployment, facts: &Facts) -> Result<String> {
    let offsets: Vec<(i32, i64, i64)> = sqlx::query_as(
        "SELECT partition, stored_offset, results_offset FROM partition_leader_locks
          ORDER BY partition",
    )
    .fetch_all(&deployment.database.pool)
    .await?;
    let mut told: BTreeMap<i32, BTreeSet<String>> = BTreeMap::new();
    for record in deployment.results.records_of(PARTITIONS).await? {
        let result = BalanceChangeResult::decode(record.payload.as_slice())?;
        told.entry(record.partition)
            .or_default()
            .insert(result.log_id);
    }
    let parts: Vec<String> = offsets
        .into_iter()
        .map(|(partition, stored, out)| {
            let decided: Vec<_> = facts
                .logged
                .values()
                .filter(|row| row.partition == Some(partition))
                .filter(|row| matches!(row.status, APPLIED | REJECTED))
                .collect();
            let told = told.remove(&partition).unwrap_or_default();
            let untold = decided
                .iter()
                .filter(|row| !told.contains(&row.log_id.to_string()));
            let first = untold.filter_map(|row| row.record_offset).min();
            format!(
                "partition {partition}: {} decided, {} told, the first untold at {first:?}, \
                 stored to {stored}, results noted to {out}",
                decided.len(),
                told.len()
            )
        })
        .collect();
    Ok(parts.join("; "))
}
