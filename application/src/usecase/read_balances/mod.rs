//! Reading balances: fast from the cache, exact from the store.
//!
//! | metric | what it counts |
//! |---|---|
//! | `axs_balance_reads_total` | accounts read, by `source`: cache or database |
//! | `axs_cache_fills_skipped_total` | fills left to a later miss |

mod cache_fills;
mod store_reads;

use super::account_lookup::{AccountLookup, AccountsKnown};
use super::currency_lookup::CurrencyLookup;
use super::incarnation_lookup::IncarnationLookup;
use super::refusal::{FieldViolation, Refusal, RefusalCode};
use crate::port::balance_cache::BalanceCache;
use crate::port::balance_store::{AccountBalances, BalanceStore, BalancesSnapshot};
use crate::port::store_error::StoreError;
use async_trait::async_trait;
use axs_domain::account::Account;
use axs_domain::balance::{BalanceKey, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, ShardId};
use axs_domain::incarnation::Incarnation;
use cache_fills::CacheFills;
use shaku::{Component, Interface};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use store_reads::StoreReads;
use tokio::time::Instant;

/// How many times one query's accounts are looked up: again only when their balances turned out to
/// be of another history of the database, which one failover makes happen once.
const LOOK_UPS_MAX: usize = 3;

/// Bounds of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadSettings {
    /// Questions to the store at one time; 1 or more, below the size of its pool. This is what
    /// keeps a lost cache from becoming a lost database.
    pub store_reads_max: u32,
    /// How long a read waits for its turn at the store before it is refused.
    pub store_read_wait: Duration,
    /// After which time a refused reader should try again.
    pub retry_after: Duration,
    /// Fills of the cache at one time. More are left to a later miss.
    pub cache_fills_max: u32,
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadConsistency {
    /// From the cache, which is never ahead of the store and soon catches up.
    #[default]
    Cached,
    /// From the store: everything committed before the read.
    Committed,
}

/// Where a read was answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadSource {
    /// The cache.
    Cache,
    /// The store.
    Database,
}

/// Which balances to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceQuery {
    /// The accounts, in any order, repeated or not.
    pub account_ids: Vec<AccountId>,
    /// The currencies; empty for all that each account ever had.
    pub currencies: Vec<CurrencyCode>,
    /// How fresh the read must be.
    pub consistency: ReadConsistency,
}

/// The balances of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancesRead {
    /// Whose balances.
    pub account_id: AccountId,
    /// One for each currency asked for, in that order, [`VersionedBalance::ABSENT`] where the
    /// account never had it; or all that it ever had, in the order of the codes.
    pub balances: Vec<(CurrencyCode, VersionedBalance)>,
    /// Where the answer came from.
    pub source: ReadSource,
}

/// What is answered for one account. Paths in a refusal begin at the query: `account_ids[2]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BalancesOutcome {
    /// The balances.
    Found(BalancesRead),
    /// The account can't be read.
    Refused(Refusal),
}

/// Why a query as a whole was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadBalancesError {
    /// The query is wrong; paths begin at the query: `currency_codes[0]`.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// Too many read from the store. Try again after the pause.
    #[error("{reads_max} reads of the database are under way, which is the bound")]
    Busy {
        /// The bound.
        reads_max: u32,
        /// The pause.
        retry_after: Duration,
    },
    /// The store did not answer. Ask again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads balances.
///
/// # Contract
/// - Outcomes stand in the order of the accounts. An unknown account never fails its neighbours.
/// - A cache that fails is never an error: the store answers instead, within its bound. So it does
///   while it is not known which history the store is in: the cache may hold another's.
/// - An answer is of one history: where an account lives in one says nothing of its balances in
///   another. While answers of two come in turn, a query is refused as [`StoreError::Unavailable`].
///
/// # Errors
/// [`ReadBalancesError`].
#[cfg_attr(any(test, feature = "testkit"), mockall::automock)]
#[async_trait]
pub trait ReadBalances: Interface {
    /// Reads balances of accounts. Must run inside a tokio runtime.
    async fn read(&self, query: BalanceQuery) -> Result<Vec<BalancesOutcome>, ReadBalancesError>;
}

/// Reads balances from the cache and, for what it lacks, from the store.
#[derive(Component)]
#[shaku(interface = ReadBalances)]
pub struct BalanceReading {
    #[shaku(inject)]
    accounts: Arc<dyn AccountLookup>,
    #[shaku(inject)]
    currencies: Arc<dyn CurrencyLookup>,
    #[shaku(inject)]
    incarnations: Arc<dyn IncarnationLookup>,
    #[shaku(inject)]
    cache: Arc<dyn BalanceCache>,
    #[shaku(inject)]
    store: Arc<dyn BalanceStore>,
    /// The bounds of reading.
    #[shaku(default = unreachable!("the settings are given by whoever builds the container"))]
    settings: ReadSettings,
    #[shaku(force_default)]
    store_reads: StoreReads,
    #[shaku(force_default)]
    cache_fills: CacheFills,
}

type Place = (ShardId, AccountId);
type BalancesFound = HashMap<AccountId, (ReadSource, AccountBalances)>;

impl BalanceReading {
    /// A reading over this cache and this store.
    #[must_use]
    pub fn new(
        accounts: Arc<dyn AccountLookup>,
        currencies: Arc<dyn CurrencyLookup>,
        incarnations: Arc<dyn IncarnationLookup>,
        cache: Arc<dyn BalanceCache>,
        store: Arc<dyn BalanceStore>,
        settings: ReadSettings,
    ) -> Self {
        Self {
            accounts,
            currencies,
            incarnations,
            cache,
            store,
            settings,
            store_reads: StoreReads::default(),
            cache_fills: CacheFills::default(),
        }
    }

    async fn check_currencies(&self, asked: &[CurrencyCode]) -> Result<(), ReadBalancesError> {
        if asked.is_empty() {
            return Ok(());
        }
        let mut known = self.currencies.current().await?;
        if asked.iter().any(|code| known.find(*code).is_none()) {
            known = self.currencies.refreshed().await?;
        }
        let unknown = asked.iter().enumerate();
        let unknown = unknown.filter(|(_, code)| known.find(**code).is_none());
        let violations: Vec<FieldViolation> = unknown
            .map(|(index, code)| FieldViolation {
                field: format!("currency_codes[{index}]"),
                description: format!("{code} is not a registered currency"),
            })
            .collect();
        if violations.is_empty() {
            return Ok(());
        }
        Err(ReadBalancesError::Refused(Refusal::of_fields(
            RefusalCode::UnknownCurrency,
            violations,
        )))
    }

    /// The balances of these accounts; `None` when the store read them in another history than the
    /// accounts'.
    async fn balances_of(
        &self,
        known: &AccountsKnown,
        query: &BalanceQuery,
    ) -> Result<Option<BalancesFound>, ReadBalancesError> {
        let mut places: Vec<Place> = known.accounts.values().map(place).collect();
        if places.is_empty() {
            return Ok(Some(HashMap::new()));
        }
        places.sort_unstable();
        if query.consistency == ReadConsistency::Cached {
            return self.read_cached(known.incarnation, places).await;
        }
        let loaded = if query.currencies.is_empty() {
            self.load_accounts(places).await?
        } else {
            self.load_currencies(places, &query.currencies).await?
        };
        if loaded.incarnation != known.incarnation {
            return Ok(None);
        }
        Ok(Some(
            loaded.accounts.into_iter().map(from_database).collect(),
        ))
    }

    async fn read_cached(
        &self,
        incarnation: Incarnation,
        places: Vec<Place>,
    ) -> Result<Option<BalancesFound>, ReadBalancesError> {
        let mut found = HashMap::with_capacity(places.len());
        let mut missed = Vec::new();
        let read = if self.incarnations.last_seen() == Some(incarnation) {
            self.cache.read(incarnation, places.clone()).await
        } else {
            // All are missed, and filled under the incarnation that they are read in.
            Ok(Vec::new())
        };
        let cache_answers = match read {
            Ok(read) => {
                for (index, place) in places.into_iter().enumerate() {
                    match read.get(index).cloned().flatten() {
                        Some(hit) => {
                            found.insert(place.1, (ReadSource::Cache, hit));
                        }
                        None => missed.push(place),
                    }
                }
                true
            }
            Err(error) => {
                tracing::debug!(%error, "balances are read from the database instead");
                missed = places;
                false
            }
        };
        report_reads("cache", found.len());
        if missed.is_empty() {
            return Ok(Some(found));
        }
        let loaded = self.load_accounts(missed).await?;
        if loaded.incarnation != incarnation {
            return Ok(None);
        }
        if cache_answers {
            let max = self.settings.cache_fills_max;
            self.cache_fills.begin(&self.cache, loaded.clone(), max);
        }
        found.extend(loaded.accounts.into_iter().map(from_database));
        Ok(Some(found))
    }

    async fn load_accounts(
        &self,
        places: Vec<Place>,
    ) -> Result<BalancesSnapshot, ReadBalancesError> {
        let _turn = self.store_reads.turn(&self.settings).await?;
        report_reads("database", places.len());
        let asked_at = Instant::now();
        let loaded = self.store.load_accounts(places).await?;
        self.incarnations.saw(loaded.incarnation, asked_at);
        Ok(loaded)
    }

    /// Only the balances asked for, which the primary key finds.
    async fn load_currencies(
        &self,
        places: Vec<Place>,
        currencies: &[CurrencyCode],
    ) -> Result<BalancesSnapshot, ReadBalancesError> {
        let of_account = |(shard_id, account_id): Place| {
            currencies.iter().map(move |currency| {
                let currency = *currency;
                (
                    shard_id,
                    BalanceKey {
                        account_id,
                        currency,
                    },
                )
            })
        };
        let keys = places.iter().copied().flat_map(of_account).collect();
        let _turn = self.store_reads.turn(&self.settings).await?;
        report_reads("database", places.len());
        let asked_at = Instant::now();
        let loaded = self.store.load(keys).await?;
        self.incarnations.saw(loaded.incarnation, asked_at);
        let by_account = places
            .into_iter()
            .zip(loaded.balances.chunks(currencies.len()));
        let accounts = by_account.map(|((shard_id, account_id), balances)| AccountBalances {
            shard_id,
            account_id,
            balances: currencies
                .iter()
                .copied()
                .zip(balances.iter().copied())
                .collect(),
        });
        Ok(BalancesSnapshot {
            incarnation: loaded.incarnation,
            accounts: accounts.collect(),
        })
    }

    /// The accounts among `ids` that are open, and their balances in the same history.
    async fn read_accounts(
        &self,
        ids: &BTreeSet<AccountId>,
        query: &BalanceQuery,
    ) -> Result<(AccountsKnown, BalancesFound), ReadBalancesError> {
        for _ in 0..LOOK_UPS_MAX {
            let known = self.accounts.find(ids.clone()).await?;
            if let Some(found) = self.balances_of(&known, query).await? {
                return Ok((known, found));
            }
        }
        Err(ReadBalancesError::Store(StoreError::Unavailable {
            store: "the balance store".to_owned(),
            reason: format!(
                "answered in another history of the database than the accounts {LOOK_UPS_MAX} times in a row"
            ),
        }))
    }
}

#[async_trait]
impl ReadBalances for BalanceReading {
    async fn read(&self, query: BalanceQuery) -> Result<Vec<BalancesOutcome>, ReadBalancesError> {
        self.check_currencies(&query.currencies).await?;
        let ids = query.account_ids.iter().copied().collect();
        let (known, found) = self.read_accounts(&ids, &query).await?;
        let answers = query.account_ids.iter().enumerate();
        answers
            .map(|(index, id)| {
                if !known.accounts.contains_key(id) {
                    return Ok(BalancesOutcome::Refused(unknown_account(index, *id)));
                }
                let (source, balances) = found.get(id).ok_or_else(|| not_answered(*id))?;
                Ok(BalancesOutcome::Found(BalancesRead {
                    account_id: *id,
                    balances: select(balances, &query.currencies),
                    source: *source,
                }))
            })
            .collect()
    }
}

fn place(account: &Account) -> Place {
    (account.shard_id, account.account_id)
}

fn from_database(balances: AccountBalances) -> (AccountId, (ReadSource, AccountBalances)) {
    (balances.account_id, (ReadSource::Database, balances))
}

/// The balances asked for, or all.
fn select(
    stored: &AccountBalances,
    currencies: &[CurrencyCode],
) -> Vec<(CurrencyCode, VersionedBalance)> {
    if currencies.is_empty() {
        return stored.balances.clone();
    }
    let find = |code: &CurrencyCode| stored.balances.iter().find(|(stored, _)| stored == code);
    currencies
        .iter()
        .map(|code| {
            let balance = find(code).map_or(VersionedBalance::ABSENT, |(_, balance)| *balance);
            (*code, balance)
        })
        .collect()
}

fn unknown_account(index: usize, id: AccountId) -> Refusal {
    Refusal::of_field(
        RefusalCode::UnknownAccount,
        &format!("account_ids[{index}]"),
        &format!("{id} is not an open account"),
    )
}

fn not_answered(id: AccountId) -> StoreError {
    StoreError::Corrupt {
        store: "the balance store".to_owned(),
        reason: format!("no answer for account {id}, which was asked for"),
    }
}

fn report_reads(source: &'static str, accounts: usize) {
    let accounts = u64::try_from(accounts).unwrap_or(u64::MAX);
    metrics::counter!("axs_balance_reads_total", "source" => source).increment(accounts);
}

#[cfg(test)]
mod tests;
