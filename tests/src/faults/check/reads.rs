//! What clients read at the end: I8 and I9.

use super::facts::{BalanceRow, Facts};
use crate::faults::invariant::{Invariant, Violations};
use crate::faults::load::Roster;
use crate::faults::watch::{Given, note_result};
use crate::model::parse;
use anyhow::{Context, Result};
use axs_proto::v1::{AccountBalances, ReadConsistency};
use futures::stream::{self, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Look-ups under way at once.
const CONCURRENT_MAX: usize = 16;

/// Accounts of one request.
const ACCOUNTS_A_REQUEST: usize = 50;

/// The cache must agree within this time, the life of a fill in these tests included.
const CACHE_WITHIN: Duration = Duration::from_secs(20);

/// The pause before the cache is read again.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn check(
    facts: &Facts,
    roster: &Roster,
    mut given: Given,
    violations: &mut Violations,
) -> Result<()> {
    results(roster, &mut given, violations).await?;
    cache(facts, roster, violations).await
}

/// Every result that was ever given is read once more.
async fn results(roster: &Roster, given: &mut Given, violations: &mut Violations) -> Result<()> {
    let log_ids: Vec<String> = given.keys().cloned().collect();
    let looks = log_ids
        .iter()
        .enumerate()
        .map(|(number, log_id)| async move {
            let (_, client) = roster.pick(number).context("no API")?;
            let found = client.event(log_id).await?;
            anyhow::Ok((log_id, found.state.unwrap_or_default()))
        });
    let mut looks = stream::iter(looks).buffer_unordered(CONCURRENT_MAX);
    while let Some(found) = looks.next().await {
        let (log_id, state) = found?;
        note_result(given, violations, log_id, state);
    }
    Ok(())
}

async fn cache(facts: &Facts, roster: &Roster, violations: &mut Violations) -> Result<()> {
    let accounts: BTreeSet<i64> = facts.balances.keys().map(|(account, _)| *account).collect();
    let accounts: Vec<i64> = accounts.into_iter().collect();
    let began = Instant::now();
    loop {
        let mut behind = Vec::new();
        for some in accounts.chunks(ACCOUNTS_A_REQUEST) {
            let (_, client) = roster.pick(0).context("no API")?;
            for read in client.balances(some, ReadConsistency::Cached).await? {
                behind.extend(differences(facts, &read));
            }
        }
        if behind.is_empty() {
            return Ok(());
        }
        if began.elapsed() > CACHE_WITHIN {
            for difference in behind {
                violations.add(
                    Invariant::I9,
                    format!("after {CACHE_WITHIN:?} {difference}"),
                );
            }
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn differences(facts: &Facts, read: &AccountBalances) -> Vec<String> {
    let account = read.account_id;
    let cached: BTreeMap<&str, BalanceRow> = read
        .balances
        .iter()
        .filter_map(|it| {
            let row = BalanceRow {
                available: parse(&it.available)?,
                frozen: parse(&it.frozen)?,
                version: it.version,
            };
            Some((it.currency_code.as_str(), row))
        })
        .collect();
    let stored: BTreeMap<&str, BalanceRow> = facts
        .balances
        .range((account, String::new())..)
        .take_while(|((owner, _), _)| *owner == account)
        .map(|((_, currency), row)| (currency.as_str(), row.clone()))
        .collect();
    if cached == stored {
        Vec::new()
    } else {
        vec![format!(
            "account {account} is {cached:?} in the cache ({:?}) and {stored:?} in PostgreSQL",
            read.source()
        )]
    }
}
