use super::*;
use crate::port::account_directory::MockAccountDirectory;
use crate::testkit::{POOL, account, account_id, away, stored_layout, user_of};
use crate::usecase::layout_lookup::MockLayoutLookup;
use axs_domain::id::ShardId;

fn asked(id: i64, pool: &str) -> AccountToOpen {
    AccountToOpen {
        account_id: account_id(id),
        user_id: user_of(id),
        pool: PoolName::parse(pool).unwrap(),
    }
}

fn layouts() -> MockLayoutLookup {
    let mut layouts = MockLayoutLookup::new();
    layouts
        .expect_current()
        .returning(|| Ok(Arc::new(stored_layout())));
    layouts
}

/// The directory has `existing`, and opens everything else.
fn directory(existing: Vec<Account>) -> MockAccountDirectory {
    let mut directory = MockAccountDirectory::new();
    directory.expect_open().times(1).returning(move |accounts| {
        let outcomes = accounts.into_iter().map(|account| {
            let known = existing.iter().find(|e| e.account_id == account.account_id);
            known
                .cloned()
                .map_or(OpenOutcome::Opened(account), OpenOutcome::Existed)
        });
        Ok(outcomes.collect())
    });
    directory
}

async fn open(
    layouts: MockLayoutLookup,
    directory: MockAccountDirectory,
    accounts: Vec<AccountToOpen>,
) -> Result<Vec<OpenAccountOutcome>, LayoutLookupError> {
    let opening = AccountOpening::new(Arc::new(layouts), Arc::new(directory));
    opening.open(accounts).await
}

fn refusal(outcome: &OpenAccountOutcome) -> &Refusal {
    match outcome {
        OpenAccountOutcome::Refused(refusal) => refusal,
        OpenAccountOutcome::Open { account, .. } => panic!("open: {account:?}"),
    }
}

#[tokio::test]
async fn a_new_account_gets_the_shard_that_its_id_and_pool_give() {
    let outcomes = open(layouts(), directory(vec![]), vec![asked(1, POOL)]).await;
    let expected = OpenAccountOutcome::Open {
        account: account(1),
        created: true,
    };
    assert_eq!(outcomes.unwrap(), [expected]);
}

#[tokio::test]
async fn an_account_opened_again_is_as_it_was_even_on_a_shard_of_an_older_layout() {
    let mut older = account(1);
    older.shard_id = ShardId::try_new(99).unwrap();
    let directory = directory(vec![older.clone()]);
    let outcomes = open(layouts(), directory, vec![asked(1, POOL)]).await;
    let expected = OpenAccountOutcome::Open {
        account: older,
        created: false,
    };
    assert_eq!(outcomes.unwrap(), [expected]);
}

#[tokio::test]
async fn an_account_of_another_user_or_pool_is_refused_and_what_differs_is_named() {
    let mut other = account(1);
    other.user_id = user_of(2);
    other.pool = PoolName::parse("whale").unwrap();
    let outcomes = open(layouts(), directory(vec![other]), vec![asked(1, POOL)]).await;
    let outcomes = outcomes.unwrap();
    let refusal = refusal(&outcomes[0]);
    assert_eq!(refusal.code, RefusalCode::AlreadyExists);
    let fields: Vec<&str> = refusal
        .violations
        .iter()
        .map(|v| v.field.as_str())
        .collect();
    assert_eq!(fields, ["user_id", "pool"]);
}

#[tokio::test]
async fn an_unknown_pool_is_refused_after_a_fresh_look_and_its_neighbours_are_opened() {
    let mut layouts = layouts();
    layouts
        .expect_refreshed()
        .times(1)
        .returning(|| Ok(Arc::new(stored_layout())));
    let accounts = vec![asked(1, "nowhere"), asked(2, POOL)];
    let outcomes = open(layouts, directory(vec![]), accounts).await.unwrap();
    let refusal = refusal(&outcomes[0]);
    assert_eq!(refusal.code, RefusalCode::UnknownPool);
    assert!(refusal.message.contains(POOL), "{}", refusal.message);
    assert!(matches!(
        outcomes[1],
        OpenAccountOutcome::Open { created: true, .. }
    ));
}

#[tokio::test]
async fn nothing_is_asked_of_the_directory_when_nothing_can_be_opened() {
    let mut layouts = layouts();
    layouts
        .expect_refreshed()
        .returning(|| Ok(Arc::new(stored_layout())));
    let mut directory = MockAccountDirectory::new();
    directory.expect_open().never();
    let outcomes = open(layouts, directory, vec![asked(1, "nowhere")]).await;
    assert_eq!(outcomes.unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_layout_or_a_database_nothing_is_opened() {
    let mut missing = MockLayoutLookup::new();
    missing
        .expect_current()
        .returning(|| Err(LayoutLookupError::NotLaidOut));
    let mut directory = MockAccountDirectory::new();
    directory.expect_open().never();
    let failed = open(missing, directory, vec![asked(1, POOL)]).await;
    assert_eq!(failed, Err(LayoutLookupError::NotLaidOut));
    let mut directory = MockAccountDirectory::new();
    directory.expect_open().returning(|_| Err(away()));
    let failed = open(layouts(), directory, vec![asked(1, POOL)]).await;
    assert_eq!(failed, Err(LayoutLookupError::Store(away())));
}
