use super::harness::{UseCases, assert_invalid, client, fields};
use axs_application::port::store_error::StoreError;
use axs_application::usecase::layout_lookup::LayoutLookupError;
use axs_application::usecase::open_accounts::{
    AccountToOpen, MockOpenAccounts, OpenAccountOutcome,
};
use axs_application::usecase::refusal::{Refusal, RefusalCode};
use axs_domain::account::Account;
use axs_domain::id::ShardId;
use axs_proto::v1;
use axs_proto::v1::create_account_result::Outcome;
use std::sync::Arc;
use tonic::Code;

fn with_open(open: MockOpenAccounts) -> UseCases {
    UseCases {
        open: Arc::new(open),
        ..UseCases::default()
    }
}

fn account(account_id: i64, pool: &str) -> v1::NewAccount {
    v1::NewAccount {
        account_id,
        user_id: 70,
        pool: pool.to_owned(),
    }
}

fn opened(asked: &AccountToOpen) -> OpenAccountOutcome {
    OpenAccountOutcome::Open {
        account: Account {
            account_id: asked.account_id,
            user_id: asked.user_id,
            pool: asked.pool.clone(),
            shard_id: ShardId::try_new(4).unwrap(),
        },
        created: true,
    }
}

#[tokio::test]
async fn accounts_are_answered_in_their_places_with_every_wrong_field_named() {
    let mut open = MockOpenAccounts::new();
    open.expect_open()
        .withf(|asked| asked.len() == 2)
        .once()
        .returning(|asked| {
            let refusal = Refusal::of_field(RefusalCode::UnknownPool, "pool", "is unknown");
            let refused = OpenAccountOutcome::Refused(refusal);
            Ok(vec![refused, opened(&asked[1])])
        });
    let mut client = client(with_open(open)).await;
    let mut nameless = account(-1, "");
    nameless.user_id = 0;
    let accounts = vec![nameless, account(1, "whales"), account(2, "retail")];
    let request = v1::CreateAccountsRequest { accounts };
    let answer = client.create_accounts(request).await.unwrap();
    let results = answer.into_inner().results;
    let outcomes: Vec<_> = results.into_iter().map(|r| r.outcome.unwrap()).collect();
    let [
        Outcome::Refused(malformed),
        Outcome::Refused(unknown),
        Outcome::Account(opened),
    ] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}");
    };
    assert_eq!(malformed.code(), v1::RefusalCode::InvalidField);
    assert_eq!(
        fields(malformed),
        [
            "accounts[0].account_id",
            "accounts[0].user_id",
            "accounts[0].pool"
        ]
    );
    assert_eq!(unknown.code(), v1::RefusalCode::UnknownPool);
    assert_eq!(fields(unknown), ["accounts[1].pool"]);
    assert_eq!(unknown.message, "accounts[1].pool is unknown");
    assert_eq!(
        *opened,
        v1::Account {
            account_id: 2,
            user_id: 70,
            pool: "retail".to_owned(),
            shard_id: 4,
            created: true,
        }
    );
}

#[tokio::test]
async fn an_empty_list_of_accounts_is_refused_as_a_whole() {
    let mut open = MockOpenAccounts::new();
    open.expect_open().never();
    let mut client = client(with_open(open)).await;
    let request = v1::CreateAccountsRequest { accounts: vec![] };
    let refused = client.create_accounts(request).await;
    assert_invalid(&refused.unwrap_err(), &["accounts"]);
}

#[tokio::test]
async fn each_failure_to_open_has_the_code_that_tells_what_to_do() {
    let away = StoreError::Unavailable {
        store: "db.example".to_owned(),
        reason: "is away".to_owned(),
    };
    let corrupt = StoreError::Corrupt {
        store: "db.example".to_owned(),
        reason: "a shard of -1".to_owned(),
    };
    let rows = [
        (LayoutLookupError::NotLaidOut, Code::FailedPrecondition),
        (LayoutLookupError::Store(away), Code::Unavailable),
        (LayoutLookupError::Store(corrupt), Code::DataLoss),
    ];
    for (error, code) in rows {
        let text = error.to_string();
        let mut open = MockOpenAccounts::new();
        open.expect_open().return_once(|_| Err(error));
        let mut client = client(with_open(open)).await;
        let accounts = vec![account(1, "retail")];
        let request = v1::CreateAccountsRequest { accounts };
        let status = client.create_accounts(request).await.unwrap_err();
        assert_eq!(status.code(), code);
        assert!(status.message().contains(&text), "{status}");
    }
}
