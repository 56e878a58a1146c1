//! Leader rows, leases and layout against each other: pure.

use crate::port::ledger_audit::{AuditGround, AuditedPartition};

/// What disagrees, one sentence each.
pub(super) fn problems(ground: &AuditGround) -> Vec<String> {
    let mut problems: Vec<String> = ground
        .partitions
        .iter()
        .flat_map(partition_problems)
        .collect();
    for (shard, partition) in &ground.shards {
        let leader = ground
            .partitions
            .iter()
            .find(|row| row.partition == *partition)
            .and_then(|row| row.leader);
        if leader.is_none() {
            problems.push(format!(
                "shard {shard}: its partition {partition} has no leader row"
            ));
        }
    }
    problems
}

fn partition_problems(row: &AuditedPartition) -> Vec<String> {
    let partition = row.partition;
    let (Some(leader), Some((lease_token, lease_owner))) = (row.leader, row.lease) else {
        return vec![format!(
            "partition {partition}: leader row and lease row don't both exist"
        )];
    };
    let mut problems = Vec::new();
    if lease_token > leader.token {
        problems.push(format!(
            "partition {partition}: the lease is of token {lease_token}, the leader row only of {}",
            leader.token
        ));
    }
    if lease_token == leader.token && lease_owner != leader.owner {
        problems.push(format!(
            "partition {partition}: lease and leader row name two owners of token {lease_token}"
        ));
    }
    if leader.results_offset > leader.stored_offset {
        problems.push(format!(
            "partition {partition}: results are said to be out up to offset {}, stored is {}",
            leader.results_offset, leader.stored_offset
        ));
    }
    problems
}
