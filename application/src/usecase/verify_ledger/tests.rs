use super::*;
use crate::port::balance_cache::{CacheError, MockBalanceCache};
use crate::port::balance_store::{AccountBalances, MockBalanceStore};
use crate::port::change_log::{ChangeLogKey, ChangeLogRecord, RecordedReason};
use crate::port::ledger_audit::{
    BalanceDifference, BrokenEntry, MockAuditSnapshot, MockLedgerAudit, ShardFold,
};
use crate::testkit::{EventBuilder, TableCodec, account_id, amount, code, log_id};
use axs_domain::balance::{Balance, BalanceKey, VersionedBalance};
use axs_domain::change::Branch;
use axs_domain::decision::LedgerEntry;
use axs_domain::event::BalanceChangeEvent;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{BalanceVersion, Offset, PartitionId};
use axs_domain::rule::CreditLimit;
use axs_domain::time::Timestamp;

const SHARD: ShardId = ShardId::MIN;

fn balance(available: &str, version: i64) -> VersionedBalance {
    VersionedBalance {
        balance: Balance {
            available: amount(available),
            frozen: amount("0"),
        },
        version: BalanceVersion::try_new(version).unwrap(),
    }
}

fn event() -> BalanceChangeEvent {
    EventBuilder::new(1, "k1")
        .change("BNB", "-1", "0")
        .fallback("USDT", "-300", "0")
        .build()
}

/// An applied event whose fallback took effect, as it should be stored.
fn applied(codec: &TableCodec) -> ChangeLogRecord {
    let event = event();
    ChangeLogRecord {
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
        logged_at: Timestamp::from_unix_micros(1),
        decided_at: Some(Timestamp::from_unix_micros(2)),
        position: Some((PartitionId::MIN, Offset::MIN)),
        entries: vec![LedgerEntry {
            change_index: 0,
            branch: Branch::Fallback,
            applied: event.changes()[0].fallback.unwrap(),
            after: balance("700", 2),
        }],
    }
}

struct Scene {
    fold: ShardFold,
    records: Vec<ChangeLogRecord>,
    cached: Result<Vec<Option<AccountBalances>>, CacheError>,
    stored: Vec<AccountBalances>,
    totals: Vec<CurrencyTotal>,
    credit: Option<CreditLimit>,
    contradictions: Vec<String>,
}

impl Scene {
    /// One shard with one sound event, cached and stored alike.
    fn sound(codec: &TableCodec) -> Self {
        Self {
            fold: ShardFold {
                balances: 1,
                entries: 1,
                ..ShardFold::default()
            },
            records: vec![applied(codec)],
            cached: Ok(vec![Some(account_with(balance("700", 2)))]),
            stored: vec![account_with(balance("700", 2))],
            totals: Vec::new(),
            credit: None,
            contradictions: Vec::new(),
        }
    }

    async fn verify(self, codec: TableCodec) -> VerifyReport {
        let mut snapshot = MockAuditSnapshot::new();
        snapshot.expect_shards().return_once(|| Ok(vec![SHARD]));
        snapshot.expect_fold().return_once(|_, _| Ok(self.fold));
        let mut pages = vec![Vec::new(), self.records];
        snapshot
            .expect_events()
            .returning(move |_, _, _| Ok(pages.pop().unwrap_or_default()));
        snapshot
            .expect_contradictions()
            .return_once(|_| Ok(self.contradictions));
        snapshot.expect_totals().return_once(|| Ok(self.totals));
        let mut audit = MockLedgerAudit::new();
        audit.expect_open().return_once(|| Ok(Box::new(snapshot)));

        let mut order = mockall::Sequence::new();
        let mut cache = MockBalanceCache::new();
        cache
            .expect_read()
            .times(1)
            .in_sequence(&mut order)
            .return_once(|_| self.cached);
        let mut store = MockBalanceStore::new();
        store
            .expect_load_accounts()
            .times(0..=1)
            .in_sequence(&mut order)
            .return_once(|_| Ok(self.stored));

        let service = VerifyLedgerService::new(
            Arc::new(audit),
            Arc::new(codec),
            Arc::new(cache),
            Arc::new(store),
            rules(self.credit),
        );
        let (progress, _seen) = mpsc::channel(1);
        service.verify(progress).await.unwrap()
    }
}

fn rules(credit: Option<CreditLimit>) -> BalanceRuleSet {
    match credit {
        None => BalanceRuleSet::non_negative(),
        Some(credit) => {
            BalanceRuleSet::try_new(vec![Arc::new(NonNegative), Arc::new(credit)]).unwrap()
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

#[tokio::test]
async fn a_sound_ledger_has_no_findings() {
    let codec = TableCodec::default();
    let report = Scene::sound(&codec).verify(codec).await;
    assert_eq!(report.findings, Vec::<String>::new());
    assert_eq!((report.events, report.entries, report.balances), (1, 1, 1));
    assert_eq!(report.cached_accounts, Some(1));
}

#[tokio::test]
async fn each_way_in_which_an_event_can_be_off_is_found() {
    type Spoil = fn(&mut ChangeLogRecord);
    let cases: [(&str, Spoil); 9] = [
        ("0 entries", |r| r.entries.clear()),
        ("applied something else", |r| {
            r.entries[0].applied.delta.available = amount("-299");
        }),
        ("applied something else", |r| {
            r.entries[0].branch = Branch::Primary
        }),
        ("stands for change", |r| r.entries[0].change_index = 1),
        ("yet with 1 entries", |r| {
            r.status = LogStatus::Rejected;
            r.reason = Some(RecordedReason {
                code: 1,
                message: "no".into(),
            });
        }),
        ("without a reason", |r| {
            r.status = LogStatus::Rejected;
            r.entries.clear();
        }),
        ("without the position", |r| r.position = None),
        ("time of decision", |r| r.decided_at = None),
        ("another fingerprint", |r| {
            r.fingerprint = Fingerprint::of(&EventBuilder::new(1, "other").build());
        }),
    ];
    for (expected, spoil) in cases {
        let codec = TableCodec::default();
        let mut scene = Scene::sound(&codec);
        spoil(&mut scene.records[0]);
        let findings = scene.verify(codec).await.findings;
        assert!(
            findings.iter().any(|finding| finding.contains(expected)),
            "{expected:?} is not in {findings:?}"
        );
    }
}

#[tokio::test]
async fn pending_events_are_counted_and_are_no_finding() {
    let codec = TableCodec::default();
    let mut scene = Scene::sound(&codec);
    let record = &mut scene.records[0];
    record.status = LogStatus::Init;
    record.entries.clear();
    record.decided_at = None;
    record.position = None;
    let report = scene.verify(codec).await;
    assert_eq!((report.pending, report.findings), (1, Vec::new()));
}

#[tokio::test]
async fn a_cache_ahead_of_the_database_is_found() {
    for (cached, expected) in [
        (
            balance("700", 3),
            "the cache holds version 3, the database 2",
        ),
        (balance("701", 2), "differ at version 2"),
    ] {
        let codec = TableCodec::default();
        let mut scene = Scene::sound(&codec);
        scene.cached = Ok(vec![Some(account_with(cached))]);
        let findings = scene.verify(codec).await.findings;
        assert!(
            findings.len() == 1 && findings[0].contains(expected),
            "{findings:?}"
        );
    }
}

#[tokio::test]
async fn a_cache_behind_the_database_is_no_finding() {
    let codec = TableCodec::default();
    let mut scene = Scene::sound(&codec);
    scene.cached = Ok(vec![Some(account_with(balance("1000", 1)))]);
    assert_eq!(scene.verify(codec).await.findings, Vec::<String>::new());
}

#[tokio::test]
async fn a_cache_that_is_away_is_said_and_stops_nothing() {
    let codec = TableCodec::default();
    let mut scene = Scene::sound(&codec);
    scene.cached = Err(CacheError {
        address: "redis".into(),
        reason: "refused".into(),
    });
    let report = scene.verify(codec).await;
    assert_eq!(
        (report.cached_accounts, report.findings),
        (None, Vec::new())
    );
}

#[tokio::test]
async fn what_the_snapshot_finds_is_reported() {
    let codec = TableCodec::default();
    let mut scene = Scene::sound(&codec);
    scene.fold.differences.push(BalanceDifference {
        key: BalanceKey {
            account_id: account_id(1),
            currency: code("USDT"),
        },
        stored: Some(balance("700", 2)),
        folded: None,
    });
    scene.fold.broken.push(BrokenEntry {
        log_id: log_id(9),
        change_index: 0,
        problem: "no log row".into(),
    });
    scene.contradictions.push("event 8: INIT although".into());
    scene.totals.push(CurrencyTotal {
        currency: code("USDT"),
        balances: "700".into(),
        entries: "0".into(),
    });
    let findings = scene.verify(codec).await.findings;
    let expected = [
        "entries make absent",
        "no log row",
        "INIT although",
        "add up to 700",
    ];
    assert_eq!(findings.len(), expected.len(), "{findings:?}");
    for (finding, expected) in findings.iter().zip(expected) {
        assert!(finding.contains(expected), "{finding:?} lacks {expected:?}");
    }
}

#[tokio::test]
async fn a_balance_below_zero_is_a_finding_where_no_rule_grants_credit_and_else_a_note() {
    // (the limit, if the rule of limits is configured at all; findings; notes)
    for (limit, findings, notes) in [
        (None, 1, 0),
        (Some("49.9"), 0, 1),
        (Some("50"), 0, 0),
        (Some("51"), 0, 0),
    ] {
        let codec = TableCodec::default();
        let mut scene = Scene::sound(&codec);
        let key = BalanceKey {
            account_id: account_id(1),
            currency: code("USDT"),
        };
        scene.fold.overdrawn.push((key, amount("-50")));
        scene.credit =
            limit.map(|limit| CreditLimit::new([(key.account_id, key.currency, amount(limit))]));
        let report = scene.verify(codec).await;
        let found = (report.findings.len(), report.notes.len());
        assert_eq!(found, (findings, notes), "{limit:?}: {report:?}");
    }
}
