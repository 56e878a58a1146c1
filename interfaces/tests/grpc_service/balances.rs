use super::harness::{Client, UseCases, assert_invalid, client, fields};
use axs_application::port::store_error::StoreError;
use axs_application::usecase::read_balances::{
    BalancesOutcome, BalancesRead, MockReadBalances, ReadBalancesError, ReadConsistency, ReadSource,
};
use axs_application::usecase::refusal::{Refusal, RefusalCode};
use axs_domain::amount::Amount;
use axs_domain::balance::{Balance, VersionedBalance};
use axs_domain::currency::CurrencyCode;
use axs_domain::id::{AccountId, BalanceVersion};
use axs_proto::v1;
use axs_proto::v1::account_balances_result::Outcome;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;
use tonic_types::StatusExt;

fn with_read(read: MockReadBalances) -> UseCases {
    UseCases {
        read: Arc::new(read),
        ..UseCases::default()
    }
}

async fn client_that_never_reads() -> Client {
    let mut read = MockReadBalances::new();
    read.expect_read().never();
    client(with_read(read)).await
}

fn request(account_ids: Vec<i64>, currency_codes: &[&str]) -> v1::GetBalancesRequest {
    v1::GetBalancesRequest {
        account_ids,
        currency_codes: currency_codes.iter().map(|&code| code.to_owned()).collect(),
        consistency: v1::ReadConsistency::Unspecified.into(),
    }
}

fn found(account_id: AccountId) -> BalancesOutcome {
    let stored = VersionedBalance {
        balance: Balance {
            available: Amount::parse("1.500").unwrap(),
            frozen: Amount::ZERO,
        },
        version: BalanceVersion::try_new(3).unwrap(),
    };
    BalancesOutcome::Found(BalancesRead {
        account_id,
        balances: vec![(CurrencyCode::parse("USDT").unwrap(), stored)],
        source: ReadSource::Cache,
    })
}

#[tokio::test]
async fn accounts_are_answered_in_their_places_by_the_paths_of_the_request() {
    let mut read = MockReadBalances::new();
    read.expect_read()
        .withf(|query| {
            query.account_ids.len() == 2
                && query.currencies.len() == 1
                && query.consistency == ReadConsistency::Cached
        })
        .once()
        .returning(|query| {
            // The use case knows the account as the first of the query.
            let field = "account_ids[0]";
            let refusal = Refusal::of_field(RefusalCode::UnknownAccount, field, "is unknown");
            Ok(vec![
                BalancesOutcome::Refused(refusal),
                found(query.account_ids[1]),
            ])
        });
    let mut client = client(with_read(read)).await;
    let answer = client.get_balances(request(vec![0, 8, 9], &["USDT"])).await;
    let results = answer.unwrap().into_inner().results;
    let outcomes: Vec<_> = results.into_iter().map(|r| r.outcome.unwrap()).collect();
    let [
        Outcome::Refused(malformed),
        Outcome::Refused(unknown),
        Outcome::Balances(read),
    ] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}");
    };
    assert_eq!(malformed.code(), v1::RefusalCode::InvalidField);
    assert_eq!(fields(malformed), ["account_ids[0]"]);
    assert_eq!(unknown.code(), v1::RefusalCode::UnknownAccount);
    assert_eq!(fields(unknown), ["account_ids[1]"]);
    assert_eq!(unknown.message, "account_ids[1] is unknown");
    assert_eq!(read.account_id, 9);
    assert_eq!(read.source(), v1::ReadSource::Cache);
    assert_eq!(
        read.balances,
        [v1::Balance {
            currency_code: "USDT".to_owned(),
            available: "1.5".to_owned(),
            frozen: "0".to_owned(),
            version: 3,
        }]
    );
}

#[tokio::test]
async fn a_committed_read_asks_for_one() {
    let mut read = MockReadBalances::new();
    read.expect_read()
        .withf(|query| query.consistency == ReadConsistency::Committed)
        .once()
        .returning(|query| Ok(vec![found(query.account_ids[0])]));
    let mut client = client(with_read(read)).await;
    let mut committed = request(vec![7], &[]);
    committed.consistency = v1::ReadConsistency::Committed.into();
    assert!(client.get_balances(committed).await.is_ok());
}

#[tokio::test]
async fn a_malformed_query_is_refused_as_a_whole_with_every_wrong_field() {
    let mut client = client_that_never_reads().await;
    let mut inconsistent = request(vec![7], &[]);
    inconsistent.consistency = 9;
    let rows: [(_, &[&str]); 4] = [
        (request(vec![], &[]), &["account_ids"]),
        (inconsistent, &["consistency"]),
        (
            request(vec![7], &["", "USDT", "usdt"]),
            &["currency_codes[0]", "currency_codes[2]"],
        ),
        (request(vec![7], &["USDT"; 101]), &["currency_codes"]),
    ];
    for (request, wrong) in rows {
        let refused = client.get_balances(request).await;
        assert_invalid(&refused.unwrap_err(), wrong);
    }
}

#[tokio::test]
async fn a_query_that_the_use_case_refuses_names_its_field() {
    let mut read = MockReadBalances::new();
    read.expect_read().returning(|_| {
        let field = "currency_codes[0]";
        let refusal = Refusal::of_field(RefusalCode::UnknownCurrency, field, "is unknown");
        Err(ReadBalancesError::Refused(refusal))
    });
    let mut client = client(with_read(read)).await;
    let refused = client.get_balances(request(vec![7], &["USDX"])).await;
    assert_invalid(&refused.unwrap_err(), &["currency_codes[0]"]);
}

#[tokio::test]
async fn a_busy_or_absent_store_tells_what_to_do() {
    let busy = ReadBalancesError::Busy {
        reads_max: 8,
        retry_after: Duration::from_millis(300),
    };
    let away = ReadBalancesError::Store(StoreError::Unavailable {
        store: "db.example".to_owned(),
        reason: "is away".to_owned(),
    });
    let pause = Some(Duration::from_millis(300));
    let rows = [
        (busy, Code::ResourceExhausted, "READS_BUSY", pause),
        (away, Code::Unavailable, "STORE_UNAVAILABLE", None),
    ];
    for (error, code, reason, pause) in rows {
        let mut read = MockReadBalances::new();
        read.expect_read().return_once(|_| Err(error));
        let mut client = client(with_read(read)).await;
        let refused = client.get_balances(request(vec![7], &[])).await;
        let status = refused.unwrap_err();
        assert_eq!(status.code(), code);
        assert_eq!(status.get_details_error_info().unwrap().reason, reason);
        let retry = status.get_details_retry_info();
        assert_eq!(retry.and_then(|retry| retry.retry_delay), pause);
    }
}
