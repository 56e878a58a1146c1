//! Each kind of difference, found in a ledger of one applied event that is sound but for one thing.

use super::{PARTITION, Scene, at, balance, offset, said};
use crate::port::change_log::RecordedReason;
use crate::port::ledger_audit::{BrokenEntry, PayloadState, UnreadableRow, WaitingDeadLetter};
use crate::testkit::{EventBuilder, account_id, amount, code, log_id};
use crate::usecase::verify_ledger::{DifferenceKind, Differences};
use axs_domain::change::Branch;
use axs_domain::fingerprint::Fingerprint;
use axs_domain::id::{FencingToken, LayoutEpoch, PartitionId, ShardId};
use axs_domain::log_status::LogStatus;

fn reason() -> Option<RecordedReason> {
    Some(RecordedReason {
        code: 1,
        message: "no".into(),
    })
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
