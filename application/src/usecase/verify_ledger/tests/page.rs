//! A ledger of more than a page.

use super::{Scene, applied, balance, nothing_stored, rules, said, service};
use crate::port::balance_cache::MockBalanceCache;
use crate::port::balance_store::MockBalanceStore;
use crate::port::ledger_audit::{
    AuditedEvent, DeadLetterPage, EntryPage, EventCursor, EventPage, MockAuditSnapshot, PayloadPage,
};
use crate::testkit::{INCARNATION, TableCodec, log_id};
use crate::usecase::verify_ledger::VerifyLedger;
use tokio::sync::mpsc;

/// An account whose events fill more than a page is compared once, when it is complete.
#[tokio::test]
async fn an_account_that_spans_pages_is_folded_whole() {
    let codec = TableCodec::default();
    let first = applied(&codec);
    let mut second = first.clone();
    second.record.log_id = log_id(2);
    second.record.entries[0].after = balance("-600", 2);
    let page = |event: AuditedEvent, next: Option<&str>| EventPage {
        events: vec![event],
        entries: 1,
        unreadable: Vec::new(),
        next: next.map(|key| EventCursor {
            account_id: 1,
            idempotency_key: key.to_owned(),
        }),
    };
    let mut pages = vec![page(second, None), page(first, Some("k1"))];
    let mut scene = Scene::sound();
    scene.balances.balances[0].stored = balance("-600", 2);
    let mut snapshot = MockAuditSnapshot::new();
    snapshot
        .expect_ground()
        .return_once(move || Ok(scene.ground));
    snapshot
        .expect_events()
        .times(2)
        .returning(move |_, _, _| Ok(pages.pop().unwrap()));
    snapshot
        .expect_balances()
        .times(1)
        .withf(|_, accounts, _, _| *accounts == (1..=i64::MAX))
        .return_once(move |_, _, _, _| Ok(scene.balances));
    snapshot
        .expect_lines()
        .times(1)
        .withf(|_, _, _, pages| *pages == 2)
        .return_once(|_, _, _, _| Ok(Vec::new()));
    snapshot.expect_entries().return_once(|_, _, _| {
        Ok(EntryPage {
            count: 2,
            ..EntryPage::default()
        })
    });
    snapshot
        .expect_payloads()
        .return_once(|_, _| Ok(PayloadPage::default()));
    snapshot
        .expect_dead_letters()
        .return_once(|_, _| Ok(DeadLetterPage::default()));
    let mut cache = MockBalanceCache::new();
    cache.expect_read().return_once(|_, _| Ok(vec![None]));
    let mut store = MockBalanceStore::new();
    store.expect_incarnation().return_once(|| Ok(INCARNATION));
    store
        .expect_load_accounts()
        .return_once(|_| Ok(nothing_stored()));
    let report = service(snapshot, codec, cache, store, rules(Some("600")))
        .verify(mpsc::channel(1).0)
        .await
        .unwrap();
    assert_eq!(said(&report), vec![]);
}
