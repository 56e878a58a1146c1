//! Each kind of difference, found in a ledger of one applied event that is sound but for one thing.

use super::cache_check::CACHE_TRIES_MAX;
use super::*;
use crate::port::balance_cache::{CacheError, MockBalanceCache};
use crate::port::balance_store::{AccountBalances, BalancesSnapshot, MockBalanceStore};
use crate::port::change_log::{ChangeLogKey, ChangeLogRecord, RecordedReason};
use crate::port::ledger_audit::{
    AuditGround, AuditedBalance, AuditedEvent, AuditedLeader, AuditedPartition, BalancePage,
    BrokenEntry, DeadLetterPage, EntryPage, EventCursor, EventPage, MockAuditSnapshot,
    MockLedgerAudit, PayloadPage, PayloadState, UnreadableRow, WaitingDeadLetter,
};
use crate::testkit::{EventBuilder, INCARNATION, TableCodec, account_id, amount, code, log_id};
use axs_domain::balance::{Balance, BalanceKey, VersionedBalance};
use axs_domain::change::Branch;
use axs_domain::decision::LedgerEntry;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{BalanceVersion, FencingToken, LayoutEpoch, Offset, PartitionId, ShardId};
use axs_domain::incarnation::Incarnation;
use axs_domain::log_status::LogStatus;
use axs_domain::rule::{CreditLimit, NonNegative};
use axs_domain::time::Timestamp;

const SHARD: ShardId = ShardId::MIN;
const PARTITION: PartitionId = PartitionId::MIN;

fn balance(available: &str, version: i64) -> VersionedBalance {
    VersionedBalance {
        balance: Balance {
            available: amount(available),
            frozen: amount("0"),
        },
        version: BalanceVersion::try_new(version).unwrap(),
    }
}

fn offset(value: i64) -> Offset {
    Offset::try_new(value).unwrap()
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros)
}

fn event() -> BalanceChangeEvent {
    EventBuilder::new(1, "k1")
        .change("BNB", "-1", "0")
        .fallback("USDT", "-300", "0")
        .build()
}

fn reason() -> Option<RecordedReason> {
    Some(RecordedReason {
        code: 1,
        message: "no".into(),
    })
}

/// An applied event whose fallback took effect, as it should be stored, at offset 4 of 10.
fn applied(codec: &TableCodec) -> AuditedEvent {
    let event = event();
    let record = ChangeLogRecord {
        log_id: log_id(1),
        key: ChangeLogKey {
            shard_id: SHARD,
            account_id: account_id(1),
            idempotency_key: event.idempotency_key().clone(),
        },
        fingerprint: Fingerprint::of(&event),
        payload: codec.encode_payload(&event),
        status: LogStatus::Applied,
        reason: None,
        logged_at: at(100),
        decided_at: Some(at(200)),
        position: Some((PARTITION, offset(4))),
        entries: vec![LedgerEntry {
            change_index: 0,
            branch: Branch::Fallback,
            applied: event.changes()[0].fallback.unwrap(),
            after: balance("-300", 1),
        }],
    };
    AuditedEvent {
        record,
        payload: PayloadState::Kept,
        home: Some(SHARD),
        is_explained: false,
    }
}

struct Scene {
    codec: TableCodec,
    ground: AuditGround,
    events: EventPage,
    balances: BalancePage,
    entries: u64,
    orphans: Vec<BrokenEntry>,
    broken: Vec<BrokenEntry>,
    payloads: PayloadPage,
    dead_letters: DeadLetterPage,
    cached: Result<Vec<Option<AccountBalances>>, CacheError>,
    /// The history that the balances are read in, after the cache.
    incarnation: Incarnation,
    stored: Vec<AccountBalances>,
    credit: Option<&'static str>,
}

impl Scene {
    /// One shard with one sound event, cached and stored alike. The account has a credit of 300.
    fn sound() -> Self {
        let codec = TableCodec::default();
        let events = EventPage {
            events: vec![applied(&codec)],
            entries: 1,
            ..EventPage::default()
        };
        let key = BalanceKey {
            account_id: account_id(1),
            currency: code("USDT"),
        };
        let token = FencingToken::try_new(3).unwrap();
        let partition = AuditedPartition {
            partition: PARTITION,
            leader: Some(AuditedLeader {
                token,
                owner: None,
                stored_offset: offset(10),
                results_offset: offset(10),
                log_adopted_at: None,
            }),
            lease: Some((token, None)),
        };
        Self {
            ground: AuditGround {
                epoch: LayoutEpoch::MIN,
                shards: vec![(SHARD, PARTITION)],
                partitions: vec![partition],
                events_expected: 1,
            },
            codec,
            events,
            balances: BalancePage {
                balances: vec![AuditedBalance {
                    key,
                    stored: balance("-300", 1),
                    home: Some(SHARD),
                }],
                ..BalancePage::default()
            },
            entries: 1,
            orphans: Vec::new(),
            broken: Vec::new(),
            payloads: PayloadPage::default(),
            dead_letters: DeadLetterPage::default(),
            cached: Ok(vec![Some(account_with(balance("-300", 1)))]),
            incarnation: INCARNATION,
            stored: vec![account_with(balance("-300", 1))],
            credit: Some("300"),
        }
    }

    fn event(&mut self) -> &mut AuditedEvent {
        &mut self.events.events[0]
    }

    fn record(&mut self) -> &mut ChangeLogRecord {
        &mut self.event().record
    }

    fn entry(&mut self) -> &mut LedgerEntry {
        &mut self.record().entries[0]
    }

    fn leader(&mut self) -> &mut AuditedLeader {
        self.ground.partitions[0].leader.as_mut().unwrap()
    }

    /// Makes the event one that waits: nothing was applied, nothing is owned.
    fn waits(&mut self) -> &mut AuditedEvent {
        self.balances.balances.clear();
        self.entries = 0;
        self.events.entries = 0;
        self.cached = Ok(Vec::new());
        self.stored.clear();
        let record = self.record();
        record.status = LogStatus::Init;
        record.entries.clear();
        record.decided_at = None;
        record.position = None;
        self.event()
    }

    async fn verify(self) -> VerifyReport {
        let mut snapshot = MockAuditSnapshot::new();
        let Self {
            ground,
            events,
            balances,
            entries,
            orphans,
            broken,
            payloads,
            dead_letters,
            cached,
            incarnation,
            stored,
            ..
        } = self;
        snapshot.expect_ground().return_once(|| Ok(ground));
        snapshot.expect_events().return_once(|_, _, _| Ok(events));
        snapshot
            .expect_balances()
            .return_once(|_, _, _, _| Ok(balances));
        snapshot.expect_lines().return_once(|_, _, _, _| Ok(broken));
        snapshot.expect_entries().return_once(move |_, _, _| {
            Ok(EntryPage {
                count: entries,
                orphans,
                next: None,
            })
        });
        snapshot.expect_payloads().return_once(|_, _| Ok(payloads));
        snapshot
            .expect_dead_letters()
            .return_once(|_, _| Ok(dead_letters));

        let mut order = mockall::Sequence::new();
        let mut cache = MockBalanceCache::new();
        let tries = if cached.is_ok() { 1 } else { CACHE_TRIES_MAX };
        let mut store = MockBalanceStore::new();
        store
            .expect_incarnation()
            .times(0..=1)
            .in_sequence(&mut order)
            .return_once(|| Ok(INCARNATION));
        cache
            .expect_read()
            .times(0..=tries)
            .in_sequence(&mut order)
            .withf(|incarnation, _| *incarnation == INCARNATION)
            .returning(move |_, _| cached.clone());
        store
            .expect_load_accounts()
            .times(0..=1)
            .in_sequence(&mut order)
            .return_once(move |_| {
                Ok(BalancesSnapshot {
                    incarnation,
                    accounts: stored,
                })
            });
        service(snapshot, self.codec, cache, store, rules(self.credit))
            .verify(mpsc::channel(1).0)
            .await
            .unwrap()
    }
}

fn service(
    snapshot: MockAuditSnapshot,
    codec: TableCodec,
    cache: MockBalanceCache,
    store: MockBalanceStore,
    rules: BalanceRuleSet,
) -> VerifyLedgerService {
    let mut audit = MockLedgerAudit::new();
    audit.expect_open().return_once(|| Ok(Box::new(snapshot)));
    VerifyLedgerService::new(
        Arc::new(audit),
        Arc::new(codec),
        Arc::new(cache),
        Arc::new(store),
        rules,
    )
}

fn rules(credit: Option<&str>) -> BalanceRuleSet {
    match credit {
        None => BalanceRuleSet::non_negative(),
        Some(limit) => {
            let limit = CreditLimit::new([(account_id(1), code("USDT"), amount(limit))]);
            BalanceRuleSet::try_new(vec![Arc::new(NonNegative), Arc::new(limit)]).unwrap()
        }
    }
}

fn account_with(balance: VersionedBalance) -> AccountBalances {
    AccountBalances {
        shard_id: SHARD,
        account_id: account_id(1),
        balances: vec![(code("USDT"), balance)],
    }
}

fn nothing_stored() -> BalancesSnapshot {
    BalancesSnapshot {
        incarnation: INCARNATION,
        accounts: Vec::new(),
    }
}

fn said(report: &VerifyReport) -> Vec<(DifferenceKind, &str)> {
    let named = report.differences.named();
    named.iter().map(|d| (d.kind, d.what.as_str())).collect()
}

#[tokio::test]
async fn a_sound_ledger_has_no_differences() {
    let report = Scene::sound().verify().await;
    assert_eq!(said(&report), vec![]);
    assert_eq!((report.events, report.entries, report.balances), (1, 1, 1));
    assert_eq!(report.cached_accounts, Some(1));
    assert_eq!(report.totals[&code("USDT")].balances.to_string(), "-300");
}

#[tokio::test]
async fn each_kind_of_difference_is_found_and_named() {
    use DifferenceKind as Kind;
    type Spoil = fn(&mut Scene);
    let cases: [(Kind, &str, Spoil); 35] = [
        // Balances and their entries.
        (Kind::Balance, "balance -301 available", |s| {
            s.balances.balances[0].stored = balance("-301", 1);
        }),
        (Kind::Balance, "at version 2, entries make", |s| {
            s.balances.balances[0].stored = balance("-300", 2);
        }),
        (Kind::Balance, "entries make nothing", |s| {
            s.balances.balances[0].key.currency = code("BTC");
        }),
        (Kind::Balance, "balance absent", |s| {
            s.balances.balances.clear()
        }),
        (
            Kind::Total,
            "USDT: balances add up to -301, applied deltas to -300",
            |s| {
                s.balances.balances[0].stored = balance("-301", 1);
            },
        ),
        (Kind::Line, "version 3 stands at place 2", |s| {
            s.broken.push(BrokenEntry {
                log_id: log_id(1),
                change_index: 0,
                problem: "version 3 stands at place 2".into(),
            });
        }),
        (Kind::Orphan, "no change log row", |s| {
            s.entries = 2;
            s.orphans.push(BrokenEntry {
                log_id: log_id(9),
                change_index: 0,
                problem: "no change log row".into(),
            });
        }),
        (Kind::Orphan, "2 entries in all, 1 belong to events", |s| {
            s.entries = 2
        }),
        (Kind::Overdrawn, "was at -300, with a credit of 0", |s| {
            s.credit = None
        }),
        (Kind::Unreadable, "status 7: is none", |s| {
            s.events.unreadable.push(UnreadableRow {
                row: "event 9".into(),
                problem: "status 7: is none".into(),
            });
        }),
        (Kind::Unreadable, "version -1", |s| {
            s.balances.unreadable.push(UnreadableRow {
                row: "balance".into(),
                problem: "version -1".into(),
            });
        }),
        (Kind::Home, "lives nowhere, has balances", |s| {
            s.balances.balances[0].home = None
        }),
        (Kind::Home, "lives on shard 5, has events", |s| {
            s.event().home = Some(ShardId::try_new(5).unwrap());
        }),
        // An event and its entries.
        (Kind::Entries, "1 changes applied, 0 entries", |s| {
            s.record().entries.clear()
        }),
        (Kind::Entries, "applied something else", |s| {
            s.entry().applied.delta.available = amount("-299");
        }),
        (Kind::Entries, "applied something else", |s| {
            s.entry().branch = Branch::Primary
        }),
        (Kind::Entries, "stands for change 1", |s| {
            s.entry().change_index = 1
        }),
        (Kind::Entries, "yet with 1 entries", |s| {
            s.record().status = LogStatus::Rejected;
            s.record().reason = reason();
        }),
        (Kind::Entries, "yet with 1 entries", |s| {
            s.record().status = LogStatus::Parked;
            s.record().reason = reason();
            s.event().is_explained = true;
        }),
        (Kind::Entries, "applied without an entry", |s| {
            s.event().payload = PayloadState::Retired;
            s.record().entries.clear();
        }),
        // A state and its payload.
        (Kind::Status, "applied, yet with a reason", |s| {
            s.record().reason = reason()
        }),
        (Kind::Status, "without a reason", |s| {
            s.record().status = LogStatus::Rejected;
            s.record().entries.clear();
        }),
        (Kind::Status, "without the position", |s| {
            s.record().position = None
        }),
        (Kind::Status, "time of its decision", |s| {
            s.record().decided_at = None
        }),
        (Kind::Payload, "another fingerprint", |s| {
            s.record().fingerprint = Fingerprint::of(&EventBuilder::new(1, "other").build());
        }),
        (Kind::Payload, "another account or key", |s| {
            let other = EventBuilder::new(1, "other").build();
            s.record().key.idempotency_key = other.idempotency_key().clone();
        }),
        (Kind::Payload, "payload is gone", |s| {
            s.event().payload = PayloadState::Gone
        }),
        (Kind::Payload, "its state is gone", |s| {
            s.payloads.stateless.push(log_id(8))
        }),
        // Positions.
        (
            Kind::Position,
            "Applied at offset 10 of partition 0, the stored offset is 10",
            |s| {
                s.record().position = Some((PARTITION, offset(10)));
            },
        ),
        (Kind::Position, "which no leader row has", |s| {
            s.record().position = Some((PartitionId::try_new(9).unwrap(), offset(4)));
        }),
        (
            Kind::Lost,
            "INIT although the stored offset 10 lies past its offset 9",
            |s| {
                s.waits().record.position = Some((PARTITION, offset(9)));
            },
        ),
        (Kind::Lost, "not open among the parked events", |s| {
            s.record().status = LogStatus::Parked;
            s.record().reason = reason();
            s.record().entries.clear();
        }),
        // Leader rows.
        (Kind::Leadership, "the lease is of token 4", |s| {
            s.ground.partitions[0].lease = Some((FencingToken::try_new(4).unwrap(), None));
        }),
        (
            Kind::Leadership,
            "results are said to be out up to offset 11",
            |s| {
                s.leader().results_offset = offset(11);
            },
        ),
        (Kind::Leadership, "don't both exist", |s| {
            s.ground.partitions[0].lease = None
        }),
    ];
    for (kind, words, spoil) in cases {
        let mut scene = Scene::sound();
        spoil(&mut scene);
        let report = scene.verify().await;
        let found = said(&report);
        assert!(
            found
                .iter()
                .any(|(k, what)| *k == kind && what.contains(words)),
            "{kind} with {words:?} is not in {found:?}"
        );
    }
}

#[tokio::test]
async fn only_of_a_layout_that_was_never_raised_is_the_partition_of_an_event_known() {
    for (epoch, differences) in [(1, 1), (2, 0)] {
        let mut scene = Scene::sound();
        let other = PartitionId::try_new(1).unwrap();
        let mut partition = scene.ground.partitions[0];
        partition.partition = other;
        scene.ground.partitions.push(partition);
        scene.record().position = Some((other, offset(4)));
        scene.ground.epoch = LayoutEpoch::try_new(epoch).unwrap();
        let report = scene.verify().await;
        assert_eq!(report.differences.count(), differences, "{report:?}");
    }
}

#[tokio::test]
async fn what_waits_with_a_reason_is_no_difference() {
    type Explain = fn(&mut Scene);
    let cases: [Explain; 4] = [
        |s| s.waits().record.position = None,
        |s| s.waits().record.position = Some((PARTITION, offset(10))),
        |s| {
            let event = s.waits();
            event.record.position = Some((PARTITION, offset(4)));
            event.is_explained = true;
        },
        // Its position is of the log before.
        |s| {
            s.waits().record.position = Some((PARTITION, offset(4)));
            s.leader().log_adopted_at = Some(at(150));
        },
    ];
    for explain in cases {
        let mut scene = Scene::sound();
        explain(&mut scene);
        let report = scene.verify().await;
        assert_eq!(said(&report), vec![]);
        assert_eq!(report.pending, 1);
    }
}

#[tokio::test]
async fn positions_on_a_log_that_was_replaced_are_not_compared() {
    for (adopted, differences) in [(200, 0), (199, 1)] {
        let mut scene = Scene::sound();
        scene.leader().stored_offset = offset(2);
        scene.leader().results_offset = offset(2);
        scene.leader().log_adopted_at = Some(at(adopted));
        let report = scene.verify().await;
        assert_eq!(report.differences.count(), differences, "{report:?}");
    }
}

#[tokio::test]
async fn a_retired_payload_is_counted_and_its_content_not_compared() {
    let mut scene = Scene::sound();
    scene.event().payload = PayloadState::Retired;
    scene.record().payload = bytes::Bytes::new();
    let report = scene.verify().await;
    assert_eq!((report.retired, said(&report)), (1, vec![]));
}

#[tokio::test]
async fn an_open_dead_letter_of_an_event_that_waits_is_told() {
    let mut scene = Scene::sound();
    scene.dead_letters.waiting.push(WaitingDeadLetter {
        log_id: log_id(7),
        account_id: account_id(1),
        words: "its record is dead letter 3".into(),
    });
    let report = scene.verify().await;
    assert_eq!(said(&report), vec![]);
    assert!(
        report.notes.named()[0].contains("dead letter 3"),
        "{report:?}"
    );
}

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

#[tokio::test]
async fn a_balance_below_zero_is_a_difference_where_no_rule_grants_credit_and_else_a_note() {
    // (the limit, if the rule of limits is configured at all; differences; notes)
    for (credit, differences, notes) in [
        (None, 1, 0),
        (Some("299.9"), 0, 1),
        (Some("300"), 0, 0),
        (Some("301"), 0, 0),
    ] {
        let mut scene = Scene::sound();
        scene.credit = credit;
        let report = scene.verify().await;
        let found = (report.differences.count(), report.notes.count());
        assert_eq!(found, (differences, notes), "{credit:?}: {report:?}");
    }
}

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

#[tokio::test]
async fn without_a_layout_nothing_is_verified_unless_rows_of_one_are_left() {
    let empty = AuditGround {
        epoch: LayoutEpoch::MIN,
        shards: Vec::new(),
        partitions: Vec::new(),
        events_expected: 0,
    };
    let left = AuditGround {
        partitions: Scene::sound().ground.partitions,
        ..empty.clone()
    };
    for (ground, laid_out) in [(empty, false), (left, true)] {
        let mut snapshot = MockAuditSnapshot::new();
        snapshot.expect_ground().return_once(move || Ok(ground));
        let payloads = |_, _| Ok(PayloadPage::default());
        snapshot.expect_payloads().returning(payloads);
        let dead_letters = |_, _| Ok(DeadLetterPage::default());
        snapshot.expect_dead_letters().returning(dead_letters);
        let service = service(
            snapshot,
            TableCodec::default(),
            MockBalanceCache::new(),
            MockBalanceStore::new(),
            rules(None),
        );
        let verified = service.verify(mpsc::channel(1).0).await;
        assert_eq!(verified != Err(VerifyError::NotLaidOut), laid_out);
    }
}

#[test]
fn of_each_kind_the_first_are_named_and_all_are_counted() {
    let mut differences = Differences::default();
    for number in 0..=Differences::NAMED_MAX {
        differences.add(DifferenceKind::Lost, number.to_string());
    }
    differences.add(DifferenceKind::Home, "another kind".into());
    assert_eq!(differences.counts()[&DifferenceKind::Lost], 101);
    assert_eq!(differences.count(), 102);
    assert_eq!(differences.named().len(), 101);
    assert_eq!(differences.named()[100].kind, DifferenceKind::Home);
}
