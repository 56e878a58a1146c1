use super::*;
use crate::port::balance_cache::{CacheError, MockBalanceCache};
use crate::port::balance_store::{LoadedBalances, MockBalanceStore};
use crate::testkit::{INCARNATION, account, account_id, amount, away, code, currency};
use crate::usecase::account_lookup::{AccountsKnown, MockAccountLookup};
use crate::usecase::currency_lookup::MockCurrencyLookup;
use crate::usecase::incarnation_lookup::MockIncarnationLookup;
use axs_domain::balance::Balance;
use axs_domain::currency::CurrencySet;
use axs_domain::id::BalanceVersion;
use axs_domain::incarnation::Incarnation;
use std::sync::Mutex;
use tokio::time::sleep;

const OPEN: [i64; 3] = [1, 2, 3];
const OTHER: Incarnation = Incarnation::new(2);

fn settings() -> ReadSettings {
    ReadSettings {
        store_reads_max: 8,
        store_read_wait: Duration::from_millis(200),
        retry_after: Duration::from_secs(1),
        cache_fills_max: 8,
    }
}

/// The histories and accounts of fills.
type Fills = Arc<Mutex<Vec<(Incarnation, Vec<i64>)>>>;

struct Ports {
    cache: MockBalanceCache,
    store: MockBalanceStore,
    currencies: MockCurrencyLookup,
    /// The incarnation last seen.
    seen: Option<Incarnation>,
    /// In which histories the accounts are found, one look-up after the other; the last one for all
    /// others.
    found_in: Vec<Incarnation>,
    /// What the reading said that it saw.
    saw: Arc<Mutex<Vec<Incarnation>>>,
    /// What was filled into the cache, which takes none of it: that is no error.
    fills: Fills,
    settings: ReadSettings,
}

impl Ports {
    fn new() -> Self {
        let mut currencies = MockCurrencyLookup::new();
        currencies.expect_current().returning(|| {
            let registered = [currency("USD", 2), currency("BTC", 8)];
            Ok(Arc::new(CurrencySet::new(registered)))
        });
        let fills = Fills::default();
        let mut cache = MockBalanceCache::new();
        let filled = Arc::clone(&fills);
        cache.expect_fill().returning(move |fill| {
            let mut ids: Vec<i64> = fill
                .accounts
                .iter()
                .map(|it| it.account_id.value())
                .collect();
            ids.sort_unstable();
            filled.lock().unwrap().push((fill.incarnation, ids));
            Err(cache_error())
        });
        Self {
            fills,
            cache,
            store: MockBalanceStore::new(),
            currencies,
            seen: Some(INCARNATION),
            found_in: vec![INCARNATION],
            saw: Arc::default(),
            settings: settings(),
        }
    }

    fn reading(self) -> BalanceReading {
        let mut accounts = MockAccountLookup::new();
        let last = *self.found_in.last().unwrap();
        let found_in = Mutex::new(self.found_in.into_iter());
        accounts.expect_find().returning(move |ids| {
            Ok(AccountsKnown {
                incarnation: found_in.lock().unwrap().next().unwrap_or(last),
                ..AccountsKnown::among(&ids, &OPEN)
            })
        });
        let mut incarnations = MockIncarnationLookup::new();
        incarnations.expect_last_seen().return_const(self.seen);
        let saw = self.saw;
        incarnations
            .expect_saw()
            .returning(move |incarnation, _| saw.lock().unwrap().push(incarnation));
        BalanceReading::new(
            Arc::new(accounts),
            Arc::new(self.currencies),
            Arc::new(incarnations),
            Arc::new(self.cache),
            Arc::new(self.store),
            self.settings,
        )
    }

    /// The cache has the accounts of `hits` and misses all others.
    fn cached(&mut self, hits: &'static [i64]) {
        self.cache
            .expect_read()
            .times(1)
            .returning(|incarnation, asked| {
                assert_eq!(incarnation, INCARNATION);
                let read = asked.into_iter().map(|(_, id)| {
                    let id = id.value();
                    hits.contains(&id).then(|| balances(id, "7"))
                });
                Ok(read.collect())
            });
    }

    /// The store is asked once for the balances of exactly these accounts.
    fn stored(&mut self, accounts: &'static [i64]) {
        self.stored_in(INCARNATION, 1, accounts);
    }

    /// The store is asked so many times, and answers in this history.
    fn stored_in(&mut self, incarnation: Incarnation, times: usize, accounts: &'static [i64]) {
        self.store
            .expect_load_accounts()
            .times(times)
            .withf(move |asked| {
                let mut ids: Vec<i64> = asked.iter().map(|(_, id)| id.value()).collect();
                ids.sort_unstable();
                ids == accounts
            })
            .returning(move |asked| {
                let ids = asked.into_iter().map(|(_, id)| id.value());
                Ok(BalancesSnapshot {
                    incarnation,
                    accounts: ids.map(|id| balances(id, "9")).collect(),
                })
            });
    }
}

fn versioned(available: &str) -> VersionedBalance {
    VersionedBalance {
        balance: Balance {
            available: amount(available),
            ..Balance::ZERO
        },
        version: BalanceVersion::try_new(3).unwrap(),
    }
}

fn balances(id: i64, available: &str) -> AccountBalances {
    AccountBalances {
        shard_id: account(id).shard_id,
        account_id: account_id(id),
        balances: vec![(code("USD"), versioned(available))],
    }
}

fn query(ids: &[i64], currencies: &[&str], consistency: ReadConsistency) -> BalanceQuery {
    BalanceQuery {
        account_ids: ids.iter().copied().map(account_id).collect(),
        currencies: currencies.iter().map(|text| code(text)).collect(),
        consistency,
    }
}

fn found(outcome: &BalancesOutcome) -> &BalancesRead {
    match outcome {
        BalancesOutcome::Found(read) => read,
        BalancesOutcome::Refused(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn cache_error() -> CacheError {
    CacheError {
        address: "redis://cache:6379".to_owned(),
        reason: "connection refused".to_owned(),
    }
}

#[tokio::test]
async fn what_the_cache_has_is_never_asked_of_the_store() {
    let mut ports = Ports::new();
    ports.cached(&[1, 2]);
    ports.store.expect_load_accounts().never();
    let query = query(&[2, 1, 2], &[], ReadConsistency::Cached);
    let outcomes = ports.reading().read(query).await.unwrap();
    let ids: Vec<i64> = outcomes
        .iter()
        .map(|o| found(o).account_id.value())
        .collect();
    assert_eq!(ids, [2, 1, 2]);
    assert!(
        outcomes
            .iter()
            .all(|o| found(o).source == ReadSource::Cache)
    );
    assert_eq!(found(&outcomes[0]).balances, balances(2, "7").balances);
}

#[tokio::test(start_paused = true)]
async fn only_misses_are_loaded_and_then_filled() {
    let mut ports = Ports::new();
    ports.cached(&[1]);
    ports.stored(&[2, 3]);
    let fills = Arc::clone(&ports.fills);
    let saw = Arc::clone(&ports.saw);
    let query = query(&[1, 2, 3], &[], ReadConsistency::Cached);
    let outcomes = ports.reading().read(query).await.unwrap();
    let sources: Vec<ReadSource> = outcomes.iter().map(|o| found(o).source).collect();
    let (cache, database) = (ReadSource::Cache, ReadSource::Database);
    assert_eq!(sources, [cache, database, database]);
    assert_eq!(found(&outcomes[1]).balances, balances(2, "9").balances);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(*fills.lock().unwrap(), [(INCARNATION, vec![2, 3])]);
    assert_eq!(*saw.lock().unwrap(), [INCARNATION]);
}

/// After a failover that lost accounts: one that was opened anew lives elsewhere, and where it
/// lived it has no balance.
#[tokio::test(start_paused = true)]
async fn balances_of_another_history_than_the_accounts_are_looked_up_again() {
    let mut ports = Ports::new();
    ports.found_in = vec![INCARNATION, OTHER];
    ports.cached(&[1]);
    ports.stored_in(OTHER, 1, &[2]);
    // What the cache had is of the history before, so it is read anew.
    ports.stored_in(OTHER, 1, &[1, 2]);
    let fills = Arc::clone(&ports.fills);
    let saw = Arc::clone(&ports.saw);
    let query = query(&[1, 2], &[], ReadConsistency::Cached);
    let outcomes = ports.reading().read(query).await.unwrap();
    for outcome in &outcomes {
        assert_eq!(found(outcome).source, ReadSource::Database);
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(
        *saw.lock().unwrap(),
        [OTHER, OTHER],
        "the next look-up asks for it"
    );
    assert_eq!(*fills.lock().unwrap(), [(OTHER, vec![1, 2])]);
}

#[tokio::test(start_paused = true)]
async fn while_two_histories_answer_in_turn_a_query_is_refused_and_nothing_is_filled() {
    for (currencies, consistency) in [
        (&[][..], ReadConsistency::Cached),
        (&[], ReadConsistency::Committed),
        (&["USD"], ReadConsistency::Committed),
    ] {
        let mut ports = Ports::new();
        ports.seen = None;
        let fills = Arc::clone(&ports.fills);
        if currencies.is_empty() {
            ports.stored_in(OTHER, LOOK_UPS_MAX, &[1]);
        } else {
            ports
                .store
                .expect_load()
                .times(LOOK_UPS_MAX)
                .returning(|keys| {
                    Ok(LoadedBalances {
                        incarnation: OTHER,
                        balances: vec![versioned("9"); keys.len()],
                    })
                });
        }
        let saw = Arc::clone(&ports.saw);
        let query = query(&[1], currencies, consistency);
        let refused = ports.reading().read(query).await.unwrap_err();
        assert!(
            matches!(
                refused,
                ReadBalancesError::Store(StoreError::Unavailable { .. })
            ),
            "{refused}"
        );
        assert_eq!(*saw.lock().unwrap(), [OTHER; LOOK_UPS_MAX]);
        sleep(Duration::from_secs(1)).await;
        assert!(fills.lock().unwrap().is_empty());
    }
}

/// At the start, and in a process that is cut off from the database.
#[tokio::test(start_paused = true)]
async fn while_the_history_is_not_known_the_cache_is_filled_and_not_read() {
    let mut ports = Ports::new();
    ports.seen = None;
    ports.cache.expect_read().never();
    ports.stored(&[1]);
    let fills = Arc::clone(&ports.fills);
    let query = query(&[1], &[], ReadConsistency::Cached);
    let outcomes = ports.reading().read(query).await.unwrap();
    assert_eq!(found(&outcomes[0]).source, ReadSource::Database);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(*fills.lock().unwrap(), [(INCARNATION, vec![1])]);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_fails_is_no_error_and_is_not_filled() {
    let mut ports = Ports::new();
    ports
        .cache
        .expect_read()
        .times(1)
        .returning(|_, _| Err(cache_error()));
    ports.stored(&[1, 2]);
    let fills = Arc::clone(&ports.fills);
    let query = query(&[1, 2], &[], ReadConsistency::Cached);
    let outcomes = ports.reading().read(query).await.unwrap();
    assert!(
        outcomes
            .iter()
            .all(|o| found(o).source == ReadSource::Database)
    );
    sleep(Duration::from_secs(1)).await;
    assert!(fills.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_committed_read_never_touches_the_cache() {
    let mut ports = Ports::new();
    ports.cache.expect_read().never();
    ports.stored(&[1]);
    let fills = Arc::clone(&ports.fills);
    let query = query(&[1], &[], ReadConsistency::Committed);
    let outcomes = ports.reading().read(query).await.unwrap();
    assert_eq!(found(&outcomes[0]).source, ReadSource::Database);
    sleep(Duration::from_secs(1)).await;
    assert!(fills.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_committed_read_of_some_currencies_loads_only_those() {
    let mut ports = Ports::new();
    ports.store.expect_load_accounts().never();
    ports.store.expect_load().times(1).returning(|keys| {
        let answers = keys.into_iter().map(|(shard, key)| {
            assert_eq!(shard, account(key.account_id.value()).shard_id);
            let has = key.currency == code("USD");
            let id = key.account_id.value().to_string();
            if has {
                versioned(&id)
            } else {
                VersionedBalance::ABSENT
            }
        });
        Ok(LoadedBalances {
            incarnation: INCARNATION,
            balances: answers.collect(),
        })
    });
    let query = query(&[2, 1], &["BTC", "USD"], ReadConsistency::Committed);
    let outcomes = ports.reading().read(query).await.unwrap();
    for (outcome, id) in outcomes.iter().zip(["2", "1"]) {
        let expected = vec![
            (code("BTC"), VersionedBalance::ABSENT),
            (code("USD"), versioned(id)),
        ];
        assert_eq!(found(outcome).balances, expected);
    }
}

#[tokio::test]
async fn a_currency_the_account_never_had_is_zero_at_version_zero() {
    let mut ports = Ports::new();
    ports.cached(&[1]);
    let query = query(&[1], &["BTC", "USD"], ReadConsistency::Cached);
    let outcomes = ports.reading().read(query).await.unwrap();
    let expected = vec![
        (code("BTC"), VersionedBalance::ABSENT),
        (code("USD"), versioned("7")),
    ];
    assert_eq!(found(&outcomes[0]).balances, expected);
}

#[tokio::test]
async fn an_unknown_account_is_refused_by_its_path_and_its_neighbours_are_read() {
    let mut ports = Ports::new();
    ports.cached(&[1]);
    let query = query(&[1, 77], &[], ReadConsistency::Cached);
    let outcomes = ports.reading().read(query).await.unwrap();
    found(&outcomes[0]);
    let BalancesOutcome::Refused(refusal) = &outcomes[1] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(refusal.code, RefusalCode::UnknownAccount);
    assert_eq!(refusal.violations[0].field, "account_ids[1]");
}

#[tokio::test]
async fn only_unknown_accounts_ask_neither_cache_nor_store() {
    let ports = Ports::new();
    let query = query(&[77], &[], ReadConsistency::Cached);
    let outcomes = ports.reading().read(query).await.unwrap();
    assert!(matches!(outcomes[..], [BalancesOutcome::Refused(_)]));
}

#[tokio::test]
async fn an_unknown_currency_refuses_the_query_by_its_path_after_a_fresh_look() {
    let mut ports = Ports::new();
    ports
        .currencies
        .expect_refreshed()
        .times(1)
        .returning(|| Ok(Arc::new(CurrencySet::new([currency("USD", 2)]))));
    let query = query(&[1], &["USD", "ABC"], ReadConsistency::Cached);
    let refused = ports.reading().read(query).await.unwrap_err();
    let ReadBalancesError::Refused(refusal) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refusal.code, RefusalCode::UnknownCurrency);
    assert_eq!(refusal.violations[0].field, "currency_codes[1]");
}

#[tokio::test(start_paused = true)]
async fn reads_beyond_the_bound_wait_a_little_and_are_then_refused_with_a_pause() {
    let mut ports = Ports::new();
    ports.store.expect_load_accounts().never();
    ports.settings = ReadSettings {
        store_reads_max: 1,
        store_read_wait: Duration::from_millis(200),
        retry_after: Duration::from_secs(4),
        ..settings()
    };
    let reading = ports.reading();
    let _turn = reading.store_reads.turn(&reading.settings).await.unwrap();
    let asked = Instant::now();
    let query = query(&[1], &[], ReadConsistency::Committed);
    let refused = reading.read(query).await.unwrap_err();
    assert_eq!(asked.elapsed(), Duration::from_millis(200));
    let expected = ReadBalancesError::Busy {
        reads_max: 1,
        retry_after: Duration::from_secs(4),
    };
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn a_turn_at_the_store_ends_with_the_read_even_when_it_fails() {
    let mut ports = Ports::new();
    ports
        .store
        .expect_load_accounts()
        .times(2)
        .returning(|_| Err(away()));
    ports.settings.store_reads_max = 1;
    let reading = ports.reading();
    for _ in 0..2 {
        let query = query(&[1], &[], ReadConsistency::Committed);
        let failed = reading.read(query).await;
        assert_eq!(failed, Err(ReadBalancesError::Store(away())));
    }
}

#[tokio::test]
async fn fills_beyond_the_bound_are_skipped() {
    let ports = Ports::new();
    let cache: Arc<dyn BalanceCache> = Arc::new(ports.cache);
    let fills = CacheFills::default();
    // On the one thread of this test the first fill has not run when the second is asked for.
    for id in [1, 2] {
        let snapshot = BalancesSnapshot {
            incarnation: INCARNATION,
            accounts: vec![balances(id, "1")],
        };
        fills.begin(&cache, snapshot, 1);
    }
    tokio::task::yield_now().await;
    assert_eq!(*ports.fills.lock().unwrap(), [(INCARNATION, vec![1])]);
}
