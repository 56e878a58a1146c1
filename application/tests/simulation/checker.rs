//! The invariants, once all is well and quiet.

use crate::fleet::Servers;
use crate::model::{Expected, Model};
use crate::notebook::{Notebook, Told};
use crate::store::stored_result;
use axs_application::port::change_log::{ChangeLogKey, ChangeLogRecord};
use axs_application::usecase::refusal::RefusalCode;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::decision::Outcome;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{PartitionId, ShardId};
use axs_domain::log_status::LogStatus;
use std::collections::{BTreeMap, BTreeSet};

/// Compares what stands with what must stand, and notes every difference in the world.
pub fn check(servers: &Servers, notebook: &Notebook) {
    let model = Model::of(servers);
    rows_ended_as_the_model_says(servers, &model);
    dead_letters_are_those_of_the_model(servers, &model);
    entries_make_the_balances(servers, &model);
    nothing_told_is_untrue(servers, notebook);
    refusals_hold(servers, notebook);
    order_is_kept(servers, notebook);
    the_cache_is_not_ahead(servers);
    results_are_told(servers);
}

/// Each final event has its result on the result topic, and no record there says anything else.
fn results_are_told(servers: &Servers) {
    let world = &servers.world;
    let state = servers.store.state();
    let mut told = BTreeSet::new();
    for partition in servers.results.broker.partitions() {
        for result in servers.results.read(partition) {
            let key = ChangeLogKey {
                shard_id: result.shard_id,
                account_id: result.event.account_id(),
                idempotency_key: result.event.idempotency_key().clone(),
            };
            let stored = state.rows.get(&key).cloned().and_then(stored_result);
            if stored.map(|stored| stored.of(result.event.clone())) != Some(result.clone())
                || result.partition != partition
            {
                let what = format!("{} has another result", key.idempotency_key);
                world.wrong("I8", what);
            }
            if !told.insert(key) {
                world.tally.count("results published again");
            }
        }
    }
    for (key, row) in &state.rows {
        if stored_result(row.clone()).is_some() && !told.contains(key) {
            let what = format!("{} has no result on the topic", key.idempotency_key);
            world.wrong("I12", what);
        }
    }
}

fn rows_ended_as_the_model_says(servers: &Servers, model: &Model) {
    let world = &servers.world;
    for what in &model.disagreements {
        world.wrong("I5", what.clone());
    }
    let state = servers.store.state();
    for (key, row) in &state.rows {
        let name = format!("{} {:?}", key.idempotency_key, row.status);
        let Some((partition, offset, expected)) = model.ends.get(key) else {
            world.wrong("I2", format!("{name}: never came to the topic"));
            continue;
        };
        if row.status == LogStatus::Init {
            world.wrong("I12", format!("{name}: still not final"));
            continue;
        }
        if row.position != Some((*partition, *offset)) {
            let what = format!(
                "{name}: took effect at {:?}, its first copy is at {partition}:{offset}",
                row.position
            );
            world.wrong("I7", what);
        }
        compare_result(servers, &name, row, expected);
    }
}

fn compare_result(servers: &Servers, name: &str, row: &ChangeLogRecord, expected: &Expected) {
    let world = &servers.world;
    match expected {
        Expected::Parked => {
            if row.status != LogStatus::Parked {
                world.wrong("I8", format!("{name}: was to be parked"));
            }
        }
        Expected::Decided(Outcome::Applied(entries)) => {
            if row.status != LogStatus::Applied {
                let what = format!("{name}: was to be applied, {:?}", row.reason);
                world.wrong("I8", what);
            } else if row.entries.len() > entries.len() {
                let what = format!("{name}: left {} entries", row.entries.len());
                world.wrong("I3", what);
            } else if row.entries.len() < entries.len() {
                let what = format!("{name}: left {} entries", row.entries.len());
                world.wrong("I4", what);
            } else if row.entries != *entries {
                let what = format!("{name}: left {:?}, not {entries:?}", row.entries);
                world.wrong("I8", what);
            }
        }
        Expected::Decided(Outcome::Rejected(rejection)) => {
            let code = row.reason.as_ref().map(|reason| reason.code);
            if row.status != LogStatus::Rejected || code != Some(rejection.code().number()) {
                let what = format!("{name}: was to be rejected, {rejection}");
                world.wrong("I8", what);
            }
            if !row.entries.is_empty() {
                let what = format!("{name}: rejected, with entries");
                world.wrong("I4", what);
            }
        }
    }
}

fn dead_letters_are_those_of_the_model(servers: &Servers, model: &Model) {
    let world = &servers.world;
    let state = servers.store.state();
    let mut found = BTreeMap::new();
    for (partition, letter) in &state.dead_letters {
        let place = (*partition, letter.offset);
        if found.insert(place, letter.reason).is_some() {
            world.wrong("I3", format!("two dead letters at {place:?}"));
        }
    }
    for (place, reason) in &model.dead {
        if found.get(place) != Some(reason) {
            let what = format!("{place:?}: {:?}, not {reason:?}", found.get(place));
            world.wrong("I8", what);
        }
    }
    for place in found.keys().filter(|place| !model.dead.contains_key(place)) {
        world.wrong("I2", format!("{place:?} is a dead letter and was sound"));
    }
}

type Place = (ShardId, BalanceKey);

fn entries_make_the_balances(servers: &Servers, model: &Model) {
    let world = &servers.world;
    let state = servers.store.state();
    let mut folded: BTreeMap<Place, VersionedBalance> = BTreeMap::new();
    let mut last_at: BTreeMap<Place, _> = BTreeMap::new();
    for row in &state.ledger {
        let key = BalanceKey {
            account_id: row.account_id,
            currency: row.entry.applied.currency,
        };
        let place = (row.shard_id, key);
        let name = format!("{} of {}", key.currency, key.account_id);
        let before = folded.get(&place).copied();
        let before = before.unwrap_or(VersionedBalance::ABSENT);
        let after = row.entry.after;
        if before.version.next() != Some(after.version) {
            let what = format!("{name}: {} follows {}", after.version, before.version);
            world.wrong("I3", what);
        }
        if before.balance.plus(row.entry.applied.delta) != Some(after.balance) {
            world.wrong(
                "I1",
                format!("{name}: entry {} does not add up", after.version),
            );
        }
        let credit = servers.rules.credit_limit(key.account_id, key.currency);
        if after.balance.available < credit.negated() || after.balance.frozen.is_negative() {
            world.wrong("I5", format!("{name}: {:?}", after.balance));
        }
        let at = (row.partition, row.offset, row.entry.change_index);
        if last_at.insert(place, at).is_some_and(|last| last >= at) {
            world.wrong("I7", format!("{name}: entry at {at:?} is out of order"));
        }
        folded.insert(place, after);
    }
    if folded != state.balances {
        world.wrong(
            "I10",
            "the balances are not what the entries make".to_owned(),
        );
    }
    let standing: BTreeMap<BalanceKey, (i128, i128, i64)> = state
        .balances
        .iter()
        .map(|((_, key), stored)| {
            let balance = stored.balance;
            let sums = (balance.available.units(), balance.frozen.units());
            (*key, (sums.0, sums.1, stored.version.value()))
        })
        .collect();
    if standing != model.purses {
        let differing: Vec<_> = model
            .purses
            .iter()
            .filter(|(key, purse)| standing.get(key) != Some(purse))
            .map(|(key, purse)| format!("{key:?}: {:?}, not {purse:?}", standing.get(key)))
            .collect();
        world.wrong("I1", format!("{differing:?}"));
    }
}

fn nothing_told_is_untrue(servers: &Servers, notebook: &Notebook) {
    let world = &servers.world;
    let state = servers.store.state();
    let mut known = std::collections::BTreeSet::new();
    for told in notebook.told() {
        let name = told.event.idempotency_key().clone();
        let Some(row) = row_of(&state.rows, &told.event) else {
            world.wrong("I2", format!("{name} was acknowledged and is lost"));
            continue;
        };
        if known.insert(row.log_id) {
            world.tally.count("acknowledged events");
        }
        if row.log_id != told.log_id || row.fingerprint != Fingerprint::of(&told.event) {
            world.wrong("I2", format!("{name} was acknowledged, and is another"));
        }
        if told.state.status.is_final() {
            if told.state.status == LogStatus::Rejected {
                world.tally.count("refusals given again");
            }
            let entries: Vec<_> = told.state.entries.iter().map(|e| e.entry).collect();
            if told.state.status != row.status
                || told.state.reason != row.reason
                || entries != row.entries
            {
                let what = format!("{name}: told {:?}, now {:?}", told.state.status, row.status);
                world.wrong("I8", what);
            }
        }
    }
}

fn refusals_hold(servers: &Servers, notebook: &Notebook) {
    let world = &servers.world;
    let state = servers.store.state();
    for (event, code) in notebook.refused() {
        world.tally.count("definite refusals");
        let row = row_of(&state.rows, &event);
        // A key that was used for other content has a row: not this one.
        let stands = row.is_some_and(|row| row.fingerprint == Fingerprint::of(&event));
        if stands && told_under(notebook, &event).is_empty() {
            let what = format!("{} was refused: {code:?}", event.idempotency_key());
            world.wrong("I11", what);
        }
        if stands && code == RefusalCode::KeyReused {
            let what = format!("{} is refused as its own copy", event.idempotency_key());
            world.wrong("I11", what);
        }
    }
}

fn told_under(notebook: &Notebook, event: &BalanceChangeEvent) -> Vec<Told> {
    let told = notebook.told().into_iter();
    told.filter(|told| told.event == *event).collect()
}

fn row_of<'a>(
    rows: &'a BTreeMap<ChangeLogKey, ChangeLogRecord>,
    event: &BalanceChangeEvent,
) -> Option<&'a ChangeLogRecord> {
    rows.values().find(|row| {
        row.key.account_id == event.account_id()
            && row.key.idempotency_key == *event.idempotency_key()
    })
}

/// What one API process accepted for an account in sequence takes effect in sequence; and so does
/// what was sent, to whomever, after its predecessor was known to be published. An event that was
/// sent to another process too has no place in the sequence of one: whoever of the two comes first
/// publishes it.
fn order_is_kept(servers: &Servers, notebook: &Notebook) {
    let world = &servers.world;
    let state = servers.store.state();
    let told = notebook.told();
    let place = |told: &Told| -> Option<(PartitionId, _)> {
        let row = row_of(&state.rows, &told.event)?;
        row.position
    };
    for first in &told {
        for second in &told {
            let follows = first.answered_at < second.sent_at
                && first.event.account_id() == second.event.account_id()
                && first.log_id != second.log_id
                && !second.duplicate;
            let alone = notebook.was_sent_once(&second.event);
            let bound = (first.api == second.api && alone) || first.published;
            if !(follows && bound) {
                continue;
            }
            if let (Some(before), Some(after)) = (place(first), place(second))
                && before >= after
            {
                let what = format!(
                    "{} was accepted by {} before {} and takes effect after it, {after:?} {before:?}",
                    first.event.idempotency_key(),
                    first.api,
                    second.event.idempotency_key(),
                );
                world.wrong("I7", what);
            }
        }
    }
}

fn the_cache_is_not_ahead(servers: &Servers) {
    let state = servers.store.state();
    for ((shard, account_id), account) in servers.cache.accounts() {
        for (currency, cached) in account.balances {
            let key = BalanceKey {
                account_id,
                currency,
            };
            let stands = state.balances.get(&(shard, key));
            if stands.is_none_or(|stands| stands.version < cached.version) {
                let what = format!("{currency} of {account_id} is newer in the cache");
                servers.world.wrong("I9", what);
            }
        }
    }
}
