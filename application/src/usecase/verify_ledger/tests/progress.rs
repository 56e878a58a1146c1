//! What is told while a run goes on.

use super::{Scene, rules, service};
use crate::port::balance_cache::MockBalanceCache;
use crate::port::balance_store::MockBalanceStore;
use crate::port::ledger_audit::{
    BalancePage, DeadLetterPage, EntryPage, EventPage, MockAuditSnapshot, PayloadPage,
};
use crate::testkit::{TableCodec, log_id};
use crate::usecase::verify_ledger::VerifyLedger;
use tokio::sync::mpsc;

/// Where a run over one shard without a row of it stands, one after another.
#[tokio::test]
async fn progress_is_told_before_the_first_page_and_while_payloads_are_read() {
    let mut snapshot = MockAuditSnapshot::new();
    let ground = Scene::sound().ground;
    snapshot.expect_ground().return_once(move || Ok(ground));
    let events = |_, _, _| Ok(EventPage::default());
    snapshot.expect_events().return_once(events);
    let balances = |_, _, _, _| Ok(BalancePage::default());
    snapshot.expect_balances().return_once(balances);
    let lines = |_, _, _, _| Ok(Vec::new());
    snapshot.expect_lines().return_once(lines);
    let entries = |_, _, _| Ok(EntryPage::default());
    snapshot.expect_entries().return_once(entries);
    let mut left = 3;
    snapshot.expect_payloads().times(3).returning(move |_, _| {
        left -= 1;
        Ok(PayloadPage {
            count: 5,
            stateless: Vec::new(),
            next: (left > 0).then(|| log_id(1)),
        })
    });
    let dead_letters = |_, _| Ok(DeadLetterPage::default());
    snapshot.expect_dead_letters().return_once(dead_letters);
    let service = service(
        snapshot,
        TableCodec::default(),
        MockBalanceCache::new(),
        MockBalanceStore::new(),
        rules(None),
    );
    let (progress, mut seen) = mpsc::channel(100);
    service.verify(progress).await.unwrap();
    let mut told = Vec::new();
    while let Some(progress) = seen.recv().await {
        told.push((progress.shards_done, progress.rows));
    }
    assert_eq!(told.first(), Some(&(0, 0)));
    assert!(
        told.ends_with(&[(1, 0), (1, 5), (1, 10), (1, 15)]),
        "{told:?}"
    );
}
