//! Who has an account.

use crate::event::{account as account_id, shard};
use crate::support::on_database;
use axs_application::port::account_directory::{AccountDirectory, FoundAccounts, OpenOutcome};
use axs_domain::account::Account;
use axs_domain::id::UserId;
use axs_domain::incarnation::Incarnation;
use axs_domain::text::PoolName;
use axs_infrastructure::postgres::account_directory::PgAccountDirectory;

fn account(id: i64, user: i64, shard_id: i32) -> Account {
    Account {
        account_id: account_id(id),
        user_id: UserId::try_new(user).unwrap(),
        pool: PoolName::parse("retail").unwrap(),
        shard_id: shard(shard_id),
    }
}

#[tokio::test]
async fn an_unknown_account_is_not_found_and_an_open_one_is_found_as_it_was_opened() {
    on_database(async |test| {
        let accounts = PgAccountDirectory::new(test.database());
        let asked = vec![account_id(7), account_id(8)];
        let incarnation = Incarnation::new(test.number("SELECT database_incarnation()").await);
        let found = |accounts| {
            Ok(FoundAccounts {
                incarnation,
                accounts,
            })
        };
        assert_eq!(accounts.find(asked.clone()).await, found(Vec::new()));
        accounts.open(vec![account(7, 70, 3)]).await.unwrap();
        assert_eq!(accounts.find(asked).await, found(vec![account(7, 70, 3)]));
        assert_eq!(accounts.find(Vec::new()).await, found(Vec::new()));
    })
    .await;
}

#[tokio::test]
async fn pages_go_from_the_highest_account_down_and_tell_the_history() {
    on_database(async |test| {
        let accounts = PgAccountDirectory::new(test.database());
        let incarnation = Incarnation::new(test.number("SELECT database_incarnation()").await);
        let ids = [1, 7, 8, 9, i64::MAX];
        let open = ids.map(|id| account(id, 70, 3));
        let empty = accounts.page_below(None, 2).await.unwrap();
        assert_eq!((empty.incarnation, empty.accounts), (incarnation, vec![]));
        accounts.open(open.to_vec()).await.unwrap();
        let mut below = None;
        for page in [[4, 3].as_slice(), &[2, 1], &[0], &[]] {
            let found = accounts.page_below(below, 2).await.unwrap();
            let expected: Vec<Account> = page.iter().map(|nth| open[*nth].clone()).collect();
            assert_eq!(
                (found.incarnation, &found.accounts),
                (incarnation, &expected)
            );
            below = expected.last().map(|account| account.account_id);
        }
    })
    .await;
}

#[tokio::test]
async fn outcomes_stand_in_the_order_asked_and_an_open_account_never_changes() {
    on_database(async |test| {
        let accounts = PgAccountDirectory::new(test.database());
        assert_eq!(accounts.open(Vec::new()).await.unwrap(), []);
        accounts.open(vec![account(5, 50, 1)]).await.unwrap();
        let outcomes = accounts
            .open(vec![
                account(9, 90, 2),
                account(5, 51, 2),
                account(1, 10, 3),
                account(9, 91, 4),
            ])
            .await
            .unwrap();
        assert_eq!(
            outcomes,
            [
                OpenOutcome::Opened(account(9, 90, 2)),
                OpenOutcome::Existed(account(5, 50, 1)),
                OpenOutcome::Opened(account(1, 10, 3)),
                OpenOutcome::Existed(account(9, 90, 2)),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn many_accounts_opened_from_two_sides_at_once_are_each_opened_once() {
    on_database(async |test| {
        let here = PgAccountDirectory::new(test.database());
        let there = PgAccountDirectory::new(test.elsewhere().database());
        // More than one statement takes, in opposite orders.
        let rising: Vec<Account> = (1..=12_000).map(|id| account(id, id, 0)).collect();
        let falling: Vec<Account> = rising.iter().rev().cloned().collect();
        let (first, second) = tokio::join!(here.open(rising.clone()), there.open(falling));
        let (first, second) = (first.unwrap(), second.unwrap());
        for (one, other) in first.iter().zip(second.iter().rev()) {
            let opened = [one, other]
                .iter()
                .filter(|outcome| matches!(outcome, OpenOutcome::Opened(_)))
                .count();
            assert_eq!(opened, 1, "{one:?} {other:?}");
        }
        let ids = rising.iter().map(|account| account.account_id).collect();
        assert_eq!(here.find(ids).await.unwrap().accounts.len(), 12_000);
    })
    .await;
}
