//! One event against its payload, its entries and its place on the topic: pure.

use super::difference::DifferenceKind;
use crate::port::change_log::ChangeLogRecord;
use crate::port::event_codec::EventCodec;
use crate::port::ledger_audit::{AuditGround, AuditedEvent, AuditedLeader, PayloadState};
use axs_domain::change::{BalanceChange, Branch};
use axs_domain::decision::LedgerEntry;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{Offset, PartitionId};
use axs_domain::log_status::LogStatus;
use axs_domain::time::Timestamp;

/// What was found out about one event.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<(DifferenceKind, String)>,
}

impl Findings {
    fn add(&mut self, kind: DifferenceKind, what: impl Into<String>) {
        self.problems.push((kind, what.into()));
    }
}

/// What is wrong with an event: its payload, its state, its entries, its position.
pub(super) fn check(
    event: &AuditedEvent,
    codec: &dyn EventCodec,
    ground: &AuditGround,
) -> Vec<(DifferenceKind, String)> {
    let record = &event.record;
    let mut findings = Findings::default();
    check_home(event, &mut findings);
    check_status(record, &mut findings);
    match event.payload {
        PayloadState::Kept => check_content(record, codec, &mut findings),
        PayloadState::Retired => check_entries_alone(record, &mut findings),
        PayloadState::Gone => findings.add(
            DifferenceKind::Payload,
            "its payload is gone, though the day it was logged on is kept",
        ),
    }
    check_position(event, ground, &mut findings);
    findings.problems
}

fn check_home(event: &AuditedEvent, findings: &mut Findings) {
    let ChangeLogRecord { key, .. } = &event.record;
    if event.home != Some(key.shard_id) {
        let home = event
            .home
            .map_or_else(|| "nowhere".to_owned(), |shard| format!("on shard {shard}"));
        findings.add(
            DifferenceKind::Home,
            format!(
                "account {} lives {home}, has events on shard {}",
                key.account_id, key.shard_id
            ),
        );
    }
}

fn check_status(record: &ChangeLogRecord, findings: &mut Findings) {
    let status = record.status;
    if status != LogStatus::Applied && !record.entries.is_empty() {
        findings.add(
            DifferenceKind::Entries,
            format!("{status:?}, yet with {} entries", record.entries.len()),
        );
    }
    let has_reason = record.reason.is_some();
    match status {
        LogStatus::Rejected | LogStatus::Parked if !has_reason => {
            findings.add(
                DifferenceKind::Status,
                format!("{status:?} without a reason"),
            );
        }
        LogStatus::Applied if has_reason => {
            findings.add(DifferenceKind::Status, "applied, yet with a reason");
        }
        _ => {}
    }
    if status == LogStatus::Init {
        return;
    }
    if record.position.is_none() {
        findings.add(
            DifferenceKind::Status,
            "final without the position of its record",
        );
    }
    if record.decided_at.is_none() {
        findings.add(
            DifferenceKind::Status,
            "final without the time of its decision",
        );
    }
}

/// The entries against the changes that the payload asks for.
fn check_content(record: &ChangeLogRecord, codec: &dyn EventCodec, findings: &mut Findings) {
    let event = match codec.decode_payload(record.payload.clone()) {
        Ok(event) => event,
        Err(error) => return findings.add(DifferenceKind::Payload, error.to_string()),
    };
    if Fingerprint::of(&event) != record.fingerprint {
        findings.add(
            DifferenceKind::Payload,
            "the payload has another fingerprint than the state",
        );
    }
    if event.account_id() != record.key.account_id
        || event.idempotency_key() != &record.key.idempotency_key
    {
        findings.add(
            DifferenceKind::Payload,
            "the payload has another account or key than the state",
        );
    }
    if record.status == LogStatus::Applied {
        check_entries(event.changes(), &record.entries, findings);
    }
}

fn check_entries(changes: &[BalanceChange], entries: &[LedgerEntry], findings: &mut Findings) {
    if changes.len() != entries.len() {
        return findings.add(
            DifferenceKind::Entries,
            format!(
                "{} changes applied, {} entries",
                changes.len(),
                entries.len()
            ),
        );
    }
    for (index, (change, entry)) in changes.iter().zip(entries).enumerate() {
        let asked = match entry.branch {
            Branch::Primary => Some(change.primary),
            Branch::Fallback => change.fallback,
        };
        if entry.change_index != index {
            let stands = format!("entry {index} stands for change {}", entry.change_index);
            findings.add(DifferenceKind::Entries, stands);
        } else if asked.is_none() {
            let branch = format!("entry {index} is a fallback that the change doesn't have");
            findings.add(DifferenceKind::Entries, branch);
        } else if asked != Some(entry.applied) {
            let applied = format!("entry {index} applied something else than change {index} asks");
            findings.add(DifferenceKind::Entries, applied);
        }
    }
}

/// Without a payload only the entries' own order can be looked at.
fn check_entries_alone(record: &ChangeLogRecord, findings: &mut Findings) {
    if record.status != LogStatus::Applied {
        return;
    }
    if record.entries.is_empty() {
        findings.add(DifferenceKind::Entries, "applied without an entry");
    }
    for (index, entry) in record.entries.iter().enumerate() {
        if entry.change_index != index {
            let stands = format!("entry {index} stands for change {}", entry.change_index);
            findings.add(DifferenceKind::Entries, stands);
        }
    }
}

fn check_position(event: &AuditedEvent, ground: &AuditGround, findings: &mut Findings) {
    let record = &event.record;
    let Some((partition, offset)) = record.position else {
        return;
    };
    let leader = ground
        .partitions
        .iter()
        .find(|row| row.partition == partition)
        .and_then(|row| row.leader);
    let Some(leader) = leader else {
        let unknown = format!("stands on partition {partition}, which no leader row has");
        return findings.add(DifferenceKind::Position, unknown);
    };
    if record.status == LogStatus::Init {
        return check_waiting(event, leader, offset, findings);
    }
    if offset >= leader.stored_offset && !is_of_an_earlier_log(record.decided_at, leader) {
        findings.add(
            DifferenceKind::Position,
            format!(
                "{:?} at offset {offset} of partition {partition}, the stored offset is {}",
                record.status, leader.stored_offset
            ),
        );
    }
    if record.status == LogStatus::Parked && !event.is_explained {
        findings.add(
            DifferenceKind::Lost,
            "PARKED, but not open among the parked events",
        );
    }
    check_map(record, partition, ground, findings);
}

/// A batch finalises its rows and moves the offset in one commit, so a snapshot never shows an
/// event waiting behind the stored offset, unless its record had no effect.
fn check_waiting(
    event: &AuditedEvent,
    leader: AuditedLeader,
    offset: Offset,
    findings: &mut Findings,
) {
    let record = &event.record;
    if offset >= leader.stored_offset || is_of_an_earlier_log(Some(record.logged_at), leader) {
        return;
    }
    if !event.is_explained {
        findings.add(
            DifferenceKind::Lost,
            format!(
                "INIT although the stored offset {} lies past its offset {offset}",
                leader.stored_offset
            ),
        );
    }
}

/// Raising the layout maps shards anew, and what was decided before stays where it was: only of a
/// layout that was never raised is the partition of each event known.
fn check_map(
    record: &ChangeLogRecord,
    partition: PartitionId,
    ground: &AuditGround,
    findings: &mut Findings,
) {
    let shard = record.key.shard_id;
    let mapped = ground.shards.iter().find(|(id, _)| *id == shard);
    if ground.epoch.value() == 1
        && let Some((_, of_shard)) = mapped
        && *of_shard != partition
    {
        findings.add(
            DifferenceKind::Position,
            format!("stands on partition {partition}, shard {shard} goes to partition {of_shard}"),
        );
    }
}

/// Whether the position is of a log that another one has replaced.
fn is_of_an_earlier_log(at: Option<Timestamp>, leader: AuditedLeader) -> bool {
    matches!((at, leader.log_adopted_at), (Some(at), Some(adopted)) if at <= adopted)
}
