//! One event against its entries: pure.

use crate::port::change_log::ChangeLogRecord;
use crate::port::event_codec::EventCodec;
use crate::port::ledger_audit::BalanceDifference;
use axs_domain::balance::VersionedBalance;
use axs_domain::change::{BalanceChange, Branch};
use axs_domain::decision::LedgerEntry;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::ShardId;
use axs_domain::log_status::LogStatus;

/// What is wrong with an event: its payload, its state, its entries.
pub(super) fn problems(record: &ChangeLogRecord, codec: &dyn EventCodec) -> Vec<String> {
    let mut problems = Vec::new();
    let event = match codec.decode_payload(record.payload.clone()) {
        Ok(event) => event,
        Err(error) => return vec![error.to_string()],
    };
    if Fingerprint::of(&event) != record.fingerprint {
        problems.push("the payload has another fingerprint than the state".to_owned());
    }
    if event.account_id() != record.key.account_id
        || event.idempotency_key() != &record.key.idempotency_key
    {
        problems.push("the payload has another account or key than the state".to_owned());
    }
    match record.status {
        LogStatus::Applied => {
            if record.reason.is_some() {
                problems.push("applied, yet with a reason".to_owned());
            }
            entries_problems(event.changes(), &record.entries, &mut problems);
        }
        status => {
            if !record.entries.is_empty() {
                problems.push(format!(
                    "{status:?}, yet with {} entries",
                    record.entries.len()
                ));
            }
            if status == LogStatus::Rejected && record.reason.is_none() {
                problems.push("rejected without a reason".to_owned());
            }
        }
    }
    if record.status.is_final() && record.position.is_none() {
        problems.push("final without the position of its record".to_owned());
    }
    if record.status.is_final() != record.decided_at.is_some() && record.status != LogStatus::Parked
    {
        problems.push("the time of decision and the status disagree".to_owned());
    }
    problems
}

fn entries_problems(
    changes: &[BalanceChange],
    entries: &[LedgerEntry],
    problems: &mut Vec<String>,
) {
    if changes.len() != entries.len() {
        problems.push(format!(
            "{} changes applied, {} entries",
            changes.len(),
            entries.len()
        ));
        return;
    }
    for (index, (change, entry)) in changes.iter().zip(entries).enumerate() {
        let asked = match entry.branch {
            Branch::Primary => Some(change.primary),
            Branch::Fallback => change.fallback,
        };
        if entry.change_index != index {
            problems.push(format!(
                "entry {index} stands for change {}",
                entry.change_index
            ));
        } else if asked.is_none() {
            problems.push(format!(
                "entry {index} is a fallback that the change doesn't have"
            ));
        } else if asked != Some(entry.applied) {
            problems.push(format!(
                "entry {index} applied something else than change {index} asks"
            ));
        }
    }
}

pub(super) fn describe_difference(shard: ShardId, difference: &BalanceDifference) -> String {
    format!(
        "shard {shard}: account {} {}: balance {}, entries make {}",
        difference.key.account_id,
        difference.key.currency,
        describe(difference.stored),
        describe(difference.folded)
    )
}

fn describe(balance: Option<VersionedBalance>) -> String {
    match balance {
        None => "absent".to_owned(),
        Some(VersionedBalance { balance, version }) => {
            format!(
                "{} available, {} frozen at version {version}",
                balance.available, balance.frozen
            )
        }
    }
}
