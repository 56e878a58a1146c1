//! The cache against the database: read first, and never newer.

use super::difference::DifferenceKind;
use super::{VerifyLedgerService, VerifyReport};
use crate::port::balance_cache::CacheError;
use crate::port::balance_store::AccountBalances;
use crate::port::store_error::StoreError;
use axs_domain::balance::VersionedBalance;
use axs_domain::id::{AccountId, ShardId};
use axs_domain::incarnation::Incarnation;
use std::time::Duration;

/// Tries of one read of the cache before it is left out.
pub(super) const CACHE_TRIES_MAX: usize = 5;

/// The pause between two tries.
const CACHE_PAUSE: Duration = Duration::from_millis(500);

impl VerifyLedgerService {
    /// Compares the cached balances of accounts with the stored ones.
    ///
    /// The order of the two reads is the check: what the cache holds was committed before it was
    /// read, so a later read of the database must show that version or a newer one. Only what is
    /// cached under the standing incarnation is ever served, so only that is compared.
    pub(super) async fn verify_cache(
        &self,
        accounts: Vec<(ShardId, AccountId)>,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let Some(compared) = report.cached_accounts else {
            return Ok(());
        };
        let incarnation = self.store.incarnation().await?;
        let cached = match self.read_cache(incarnation, accounts).await {
            Ok(cached) => cached,
            Err(failure) => {
                report.cached_accounts = None;
                report.cache_left_out = Some(failure.to_string());
                return Ok(());
            }
        };
        let hits: Vec<AccountBalances> = cached.into_iter().flatten().collect();
        let keys = hits
            .iter()
            .map(|hit| (hit.shard_id, hit.account_id))
            .collect();
        let stored = self.store.load_accounts(keys).await?;
        if stored.incarnation != incarnation {
            // Forgotten meanwhile: of these accounts nothing is cached any more.
            return Ok(());
        }
        for (hit, stored) in hits.iter().zip(&stored.accounts) {
            for finding in newer_in_cache(hit, stored) {
                report.differences.add(DifferenceKind::Cache, finding);
            }
        }
        report.cached_accounts = Some(compared + u64::try_from(hits.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Asked more than once: one slow answer must not leave the cache out of a run.
    async fn read_cache(
        &self,
        incarnation: Incarnation,
        accounts: Vec<(ShardId, AccountId)>,
    ) -> Result<Vec<Option<AccountBalances>>, CacheError> {
        for _ in 1..CACHE_TRIES_MAX {
            if let Ok(cached) = self.cache.read(incarnation, accounts.clone()).await {
                return Ok(cached);
            }
            tokio::time::sleep(CACHE_PAUSE).await;
        }
        self.cache.read(incarnation, accounts).await
    }
}

/// Every balance that the cache holds in a newer version, or with other amounts in the same one.
fn newer_in_cache(cached: &AccountBalances, stored: &AccountBalances) -> Vec<String> {
    let mut findings = Vec::new();
    for (currency, in_cache) in &cached.balances {
        let in_store = stored
            .balances
            .iter()
            .find(|(code, _)| code == currency)
            .map_or(VersionedBalance::ABSENT, |(_, balance)| *balance);
        let account = cached.account_id;
        if in_cache.version > in_store.version {
            findings.push(format!(
                "account {account} {currency}: the cache holds version {}, the database {}",
                in_cache.version, in_store.version
            ));
        } else if in_cache.version == in_store.version && in_cache.balance != in_store.balance {
            findings.push(format!(
                "account {account} {currency}: cache and database differ at version {}",
                in_store.version
            ));
        }
    }
    findings
}
