//! Committed balances.

use crate::event::{account, amount, currency, shard};
use crate::laid_out::on_laid_out_database;
use crate::support::TestDatabase;
use axs_application::port::balance_store::BalanceStore;
use axs_domain::balance::{Balance, BalanceKey, VersionedBalance};
use axs_domain::id::{BalanceVersion, ShardId};
use axs_infrastructure::postgres::balance_store::PgBalanceStore;

fn key(shard_id: i32, account_id: i64, code: &str) -> (ShardId, BalanceKey) {
    let key = BalanceKey {
        account_id: account(account_id),
        currency: currency(code),
    };
    (shard(shard_id), key)
}

fn stored(available: &str, frozen: &str, version: i64) -> VersionedBalance {
    VersionedBalance {
        balance: Balance {
            available: amount(available),
            frozen: amount(frozen),
        },
        version: BalanceVersion::try_new(version).unwrap(),
    }
}

async fn insert(test: &TestDatabase, values: &str) {
    test.execute(&format!(
        "INSERT INTO account_balances
                (shard_id, account_id, currency_code, available, frozen, version)
         VALUES {values}"
    ))
    .await;
}

#[tokio::test]
async fn balances_stand_in_the_order_asked_and_what_has_no_row_is_absent() {
    on_laid_out_database(async |test| {
        let store = PgBalanceStore::new(test.database());
        insert(
            &test,
            "(3, 7, 'USD', 12.5, 0, 1), (3, 7, 'BTC', -0.1, 0.000000000000000001, 2),
             (23, 8, 'USD', 999999999999999999.999999999999999999, 0, 9)",
        )
        .await;
        let loaded = store
            .load(vec![
                key(23, 8, "USD"),
                key(3, 7, "ETH"),
                key(3, 7, "BTC"),
                key(3, 8, "USD"),
                key(3, 7, "USD"),
                key(3, 7, "BTC"),
            ])
            .await
            .unwrap()
            .balances;
        assert_eq!(
            loaded,
            [
                stored("999999999999999999.999999999999999999", "0", 9),
                VersionedBalance::ABSENT,
                stored("-0.1", "0.000000000000000001", 2),
                VersionedBalance::ABSENT,
                stored("12.5", "0", 1),
                stored("-0.1", "0.000000000000000001", 2),
            ]
        );
        let nothing = store.load(Vec::new()).await.unwrap();
        assert_eq!(nothing.balances, []);
    })
    .await;
}

#[tokio::test]
async fn an_accounts_balances_stand_in_the_order_of_the_currency_codes() {
    on_laid_out_database(async |test| {
        let store = PgBalanceStore::new(test.database());
        insert(
            &test,
            "(3, 7, 'U_T', 1, 0, 1), (3, 7, 'USD', 2, 0, 1), (3, 7, '1INCH', 3, 0, 1),
             (20, 9, 'USD', 4, 5, 6), (4, 7, 'USD', 9, 9, 9)",
        )
        .await;
        let asked = vec![
            (shard(20), account(9)),
            (shard(3), account(8)),
            (shard(3), account(7)),
            (shard(20), account(9)),
        ];
        let loaded = store.load_accounts(asked.clone()).await.unwrap().accounts;
        let answered: Vec<_> = loaded
            .iter()
            .map(|account| (account.shard_id, account.account_id))
            .collect();
        assert_eq!(answered, asked);
        let nine = [(currency("USD"), stored("4", "5", 6))];
        assert_eq!(loaded[0].balances, nine);
        assert_eq!(loaded[1].balances, []);
        assert_eq!(
            loaded[2].balances,
            [
                (currency("1INCH"), stored("3", "0", 1)),
                (currency("USD"), stored("2", "0", 1)),
                (currency("U_T"), stored("1", "0", 1)),
            ]
        );
        assert_eq!(loaded[3].balances, nine);
        let nothing = store.load_accounts(Vec::new()).await.unwrap();
        assert_eq!(nothing.accounts, []);
    })
    .await;
}

#[tokio::test]
async fn the_pages_of_a_shard_hold_each_of_its_balances_once_in_the_order_of_the_keys() {
    on_laid_out_database(async |test| {
        let store = PgBalanceStore::new(test.database());
        insert(
            &test,
            "(3, 8, 'USD', 12.5, 0, 1), (3, 7, 'U_T', -0.1, 0.000000000000000001, 2), (3, 7, 'USD', 1, 0, 1),
             (3, 7, 'ETH', 4, 0, 1), (23, 7, 'BTC', 5, 0, 1), (3, 1, '1INCH', 6, 0, 1)",
        )
        .await;
        let expected = [
            ((1, "1INCH"), stored("6", "0", 1)),
            ((7, "ETH"), stored("4", "0", 1)),
            ((7, "USD"), stored("1", "0", 1)),
            ((7, "U_T"), stored("-0.1", "0.000000000000000001", 2)),
            ((8, "USD"), stored("12.5", "0", 1)),
        ]
        .map(|((account, code), balance)| (key(3, account, code).1, balance));
        let incarnation = store.incarnation().await.unwrap();
        let mut behind = None;
        for page in [&expected[..2], &expected[2..4], &expected[4..], &[]] {
            let found = store.page_behind(shard(3), behind, 2).await.unwrap();
            assert_eq!((found.incarnation, &found.balances[..]), (incarnation, page));
            behind = page.last().map(|(key, _)| *key);
        }
    })
    .await;
}

#[tokio::test]
async fn twenty_thousand_balances_are_loaded_at_once() {
    on_laid_out_database(async |test| {
        let store = PgBalanceStore::new(test.database());
        test.execute(
            "INSERT INTO account_balances
             SELECT n % 24, n, 'USD', n, 0, 1 FROM generate_series(1, 20000, 2) AS n",
        )
        .await;
        let keys = (1..=20_000i64)
            .rev()
            .map(|n| key(i32::try_from(n % 24).unwrap(), n, "USD"))
            .collect();
        let loaded = store.load(keys).await.unwrap().balances;
        for (balance, n) in loaded.iter().zip((1..=20_000i64).rev()) {
            let expected = if n % 2 == 1 {
                stored(&n.to_string(), "0", 1)
            } else {
                VersionedBalance::ABSENT
            };
            assert_eq!(*balance, expected, "account {n}");
        }
    })
    .await;
}
