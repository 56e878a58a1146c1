//! What is cached, compared with what is stored.

use super::{Scene, account_with, balance, nothing_stored, rules, said};
use crate::port::balance_cache::{CacheError, MockBalanceCache};
use crate::port::balance_store::MockBalanceStore;
use crate::port::ledger_audit::MockLedgerAudit;
use crate::testkit::{INCARNATION, TableCodec};
use crate::usecase::verify_ledger::cache_check::CACHE_TRIES_MAX;
use crate::usecase::verify_ledger::{DifferenceKind, VerifyLedgerService, VerifyReport};
use axs_domain::incarnation::Incarnation;
use std::sync::Arc;

#[tokio::test]
async fn a_cache_ahead_of_the_database_is_found_and_one_behind_is_not() {
    for (cached, expected) in [
        (
            balance("-300", 2),
            Some("the cache holds version 2, the database 1"),
        ),
        (balance("-301", 1), Some("differ at version 1")),
        (balance("0", 0), None),
    ] {
        let mut scene = Scene::sound();
        scene.cached = Ok(vec![Some(account_with(cached))]);
        let report = scene.verify().await;
        let found = said(&report);
        assert_eq!(found.len(), usize::from(expected.is_some()), "{found:?}");
        if let Some(expected) = expected {
            assert_eq!(found[0].0, DifferenceKind::Cache);
            assert!(found[0].1.contains(expected), "{found:?}");
        }
    }
}

/// What is cached under a history that is over is served to nobody.
#[tokio::test]
async fn balances_of_a_history_that_ended_meanwhile_are_not_compared() {
    let mut scene = Scene::sound();
    scene.cached = Ok(vec![Some(account_with(balance("-300", 2)))]);
    scene.incarnation = Incarnation::new(2);
    let report = scene.verify().await;
    assert_eq!((report.cached_accounts, said(&report)), (Some(0), vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_away_is_said_with_its_reason_and_stops_nothing() {
    let mut scene = Scene::sound();
    scene.cached = Err(CacheError {
        address: "redis".into(),
        reason: "refused".into(),
    });
    let report = scene.verify().await;
    assert_eq!((report.cached_accounts, said(&report)), (None, vec![]));
    let left_out = report.cache_left_out.unwrap();
    assert!(left_out.contains("refused"), "{left_out}");
}

#[tokio::test(start_paused = true)]
async fn one_slow_answer_does_not_leave_the_cache_out() {
    let mut cache = MockBalanceCache::new();
    let mut failures = CACHE_TRIES_MAX - 1;
    cache.expect_read().returning(move |_, _| {
        if failures == 0 {
            return Ok(Vec::new());
        }
        failures -= 1;
        Err(CacheError {
            address: "redis".into(),
            reason: "timed out".into(),
        })
    });
    let mut store = MockBalanceStore::new();
    store.expect_incarnation().returning(|| Ok(INCARNATION));
    store
        .expect_load_accounts()
        .returning(|_| Ok(nothing_stored()));
    let service = VerifyLedgerService::new(
        Arc::new(MockLedgerAudit::new()),
        Arc::new(TableCodec::default()),
        Arc::new(cache),
        Arc::new(store),
        rules(None),
    );
    let mut report = VerifyReport {
        cached_accounts: Some(0),
        ..VerifyReport::default()
    };
    service.verify_cache(Vec::new(), &mut report).await.unwrap();
    assert_eq!(report.cached_accounts, Some(0));
    assert_eq!(report.cache_left_out, None);
}
