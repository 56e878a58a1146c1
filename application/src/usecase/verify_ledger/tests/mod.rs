//! Claims about verifying a ledger, on one of one applied event.

mod cache;
mod kind;
mod page;
mod progress;

use super::cache_check::CACHE_TRIES_MAX;
use super::*;
use crate::port::balance_cache::{CacheError, MockBalanceCache};
use crate::port::balance_store::{AccountBalances, BalancesSnapshot, MockBalanceStore};
use crate::port::change_log::{ChangeLogKey, ChangeLogRecord};
use crate::port::ledger_audit::{
    AuditedBalance, AuditedEvent, AuditedLeader, AuditedPartition, BalancePage, BrokenEntry,
    DeadLetterPage, EntryPage, EventPage, MockAuditSnapshot, MockLedgerAudit, PayloadPage,
    PayloadState,
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
