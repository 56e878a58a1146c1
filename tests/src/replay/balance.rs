//! Every balance, read by gRPC and compared with the model: as committed, and as cached.

use super::mismatch::Mismatches;
use crate::client::ApiClient;
use crate::model::{Model, parse};
use anyhow::Result;
use axs_proto::v1::{AccountBalances, Balance, ReadConsistency, ReadSource};
use num_bigint::BigInt;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Accounts of one request.
const ACCOUNTS_A_REQUEST: usize = 100;

/// How long the cache may take to catch up with the database.
const CACHE_WITHIN: Duration = Duration::from_secs(30);

/// The pause before the cache is read again.
const PAUSE: Duration = Duration::from_millis(100);

/// What the comparison found.
#[derive(Debug, Default)]
pub struct BalanceComparison {
    /// Balances compared, each as committed and as cached.
    pub checked: u64,
    /// Accounts whose cached balances came from the cache, not from the database behind it.
    pub from_cache: u64,
    /// Until cached reads agreed with the model.
    pub cache_took: Duration,
    /// All the money by currency, as committed.
    pub totals: BTreeMap<String, BigInt>,
    /// What is not as the model says.
    pub mismatches: Mismatches,
}

/// Reads every balance of every account, all currencies of each.
///
/// # Errors
/// A request fails.
pub async fn compare_balances(client: &ApiClient, model: &Model) -> Result<BalanceComparison> {
    let committed = read_all(client, model, ReadConsistency::Committed).await?;
    let mut comparison = BalanceComparison {
        mismatches: compare(&committed, model, "committed"),
        ..BalanceComparison::default()
    };
    for balance in committed.iter().flat_map(|account| &account.balances) {
        comparison.checked += 1;
        if let (Some(available), Some(frozen)) = (parse(&balance.available), parse(&balance.frozen))
        {
            let total = comparison.totals.entry(balance.currency_code.clone());
            *total.or_default() += available + frozen;
        }
    }
    // The cache is written after the commit, so it may be behind, but not for long.
    let began = Instant::now();
    loop {
        let cached = read_all(client, model, ReadConsistency::Cached).await?;
        let behind = compare(&cached, model, "cached");
        if behind.is_empty() || began.elapsed() > CACHE_WITHIN {
            comparison.cache_took = began.elapsed();
            comparison.mismatches.merge(behind);
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    // A read that missed has filled the cache by now.
    let again = read_all(client, model, ReadConsistency::Cached).await?;
    let from_cache = again
        .iter()
        .filter(|account| account.source() == ReadSource::Cache);
    comparison.from_cache = u64::try_from(from_cache.count()).unwrap_or(u64::MAX);
    comparison
        .mismatches
        .merge(compare(&again, model, "cached"));
    Ok(comparison)
}

async fn read_all(
    client: &ApiClient,
    model: &Model,
    consistency: ReadConsistency,
) -> Result<Vec<AccountBalances>> {
    let accounts: Vec<i64> = model.accounts().collect();
    let mut read = Vec::with_capacity(accounts.len());
    for some in accounts.chunks(ACCOUNTS_A_REQUEST) {
        read.extend(client.balances(some, consistency).await?);
    }
    Ok(read)
}

fn compare(read: &[AccountBalances], model: &Model, how: &str) -> Mismatches {
    let mut mismatches = Mismatches::default();
    for (found, account) in read.iter().zip(model.accounts()) {
        let what = format!("account {account} {how}");
        mismatches.compare(&what, &found.account_id, &account);
        let seen: Vec<_> = found.balances.iter().map(seen).collect();
        let wanted: Vec<_> = model
            .holdings_of(account)
            .map(|(currency, holding)| {
                let (available, frozen) = (holding.available.clone(), holding.frozen.clone());
                (
                    currency.to_owned(),
                    Some(available),
                    Some(frozen),
                    holding.version,
                )
            })
            .collect();
        mismatches.compare(&what, &seen, &wanted);
    }
    mismatches
}

type Seen = (String, Option<BigInt>, Option<BigInt>, i64);

fn seen(balance: &Balance) -> Seen {
    let (available, frozen) = (parse(&balance.available), parse(&balance.frozen));
    (
        balance.currency_code.clone(),
        available,
        frozen,
        balance.version,
    )
}
