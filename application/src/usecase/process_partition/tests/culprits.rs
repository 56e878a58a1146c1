//! Records that are not what they should be.

use super::bench::{Bench, change, key_of, partition, resident, stranger};
use crate::port::batch_writer::DeadLetterReason;
use crate::port::event_codec::{
    Envelope, EnvelopeError, EnvelopeHeader, EventCodec, MockEventCodec,
};
use crate::port::record_source::InboundRecord;
use crate::testkit::{EventBuilder, amount, log_id, stored_layout};
use crate::usecase::process_partition::StopReason;
use crate::usecase::process_partition::admit::admit;
use crate::usecase::process_partition::fakes::{let_others_run, offset, until};
use crate::usecase::process_partition::item::Verdict;
use axs_domain::id::{LayoutEpoch, ShardId};
use axs_domain::layout_raise::raise;
use axs_domain::log_status::LogStatus;
use axs_domain::rejection::Rejection;
use axs_domain::rule::{BalanceRule, BalanceRuleSet, NonNegative, RuleContext};
use axs_domain::time::Timestamp;
use bytes::Bytes;
use std::num::NonZeroUsize;
use std::sync::Arc;

fn dead(bench: &Bench) -> Vec<(i64, DeadLetterReason)> {
    let state = bench.store.state.lock().unwrap();
    state
        .dead_letters
        .iter()
        .map(|letter| (letter.offset.value(), letter.reason))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn garbage_and_strangers_become_dead_letters_and_later_events_are_unaffected() {
    let mut bench = Bench::new();
    let _worker = bench.start();
    let elsewhere = bench.log(&change(stranger(0), "elsewhere", "1"));
    let sound = bench.log(&change(resident(0), "sound", "1"));
    let garbage = Bytes::from_static(b"garbage");
    bench.publish(vec![garbage.clone(), elsewhere, sound]).await;
    until("all", || bench.stored() == 3).await;
    let expected = [
        (0, DeadLetterReason::Undecodable),
        (1, DeadLetterReason::WrongPartition),
    ];
    assert_eq!(dead(&bench), expected);
    assert_eq!(
        bench.store.state.lock().unwrap().dead_letters[0].payload,
        garbage
    );
    assert_eq!(bench.store.statuses()["sound"], LogStatus::Applied);
    assert_eq!(bench.store.statuses()["elsewhere"], LogStatus::Init);
}

#[tokio::test(start_paused = true)]
async fn an_event_without_a_log_row_is_a_dead_letter_with_its_bytes() {
    let mut bench = Bench::new();
    let _worker = bench.start();
    let ghost = bench.record(&change(resident(0), "ghost", "1"), 77, 77);
    let sound = bench.log(&change(resident(0), "sound", "1"));
    bench.publish(vec![ghost.clone(), sound]).await;
    until("all", || bench.stored() == 2).await;
    assert_eq!(dead(&bench), [(0, DeadLetterReason::NoLogRow)]);
    let state = bench.store.state.lock().unwrap();
    assert_eq!(state.dead_letters[0].payload, ghost);
    assert_eq!(state.dead_letters[0].log_id, Some(log_id(77)));
    drop(state);
    assert_eq!(bench.store.usd(resident(0)), ("1".to_owned(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_redelivery_of_a_final_event_has_no_effect_and_no_dead_letter() {
    let mut bench = Bench::new();
    let _worker = bench.start();
    let payload = bench.log(&change(resident(0), "once", "1"));
    bench.publish(vec![payload.clone()]).await;
    until("first", || bench.stored() == 1).await;
    bench.publish(vec![payload.clone()]).await;
    until("second", || bench.stored() == 2).await;
    assert_eq!(bench.store.usd(resident(0)), ("1".to_owned(), 1));
    assert!(dead(&bench).is_empty());
}

#[tokio::test(start_paused = true)]
async fn copies_inside_a_batch_and_of_the_batch_in_flight_are_skipped_before_deciding() {
    let mut bench = Bench::new();
    bench.store.gate.forget_permits(1_000_000);
    let _worker = bench.start();
    let payload = bench.log(&change(resident(0), "once", "1"));
    bench.publish(vec![payload.clone(), payload.clone()]).await;
    until("being written", || {
        bench.store.state.lock().unwrap().writes_begun == 1
    })
    .await;
    // As many as a batch may hold, so that they are decided while the first is being written.
    bench.publish(vec![payload; 10]).await;
    let_others_run().await;
    bench.store.gate.add_permits(100);
    until("all", || bench.stored() == 12).await;
    let state = bench.store.state.lock().unwrap();
    let sizes: Vec<_> = state.committed.iter().map(|b| b.events.len()).collect();
    assert_eq!((sizes, state.writes_begun), (vec![1, 0], 2));
    drop(state);
    assert_eq!(bench.store.usd(resident(0)), ("1".to_owned(), 1));
}

/// A copy was skipped for the sake of an event that then left the batch: the copy must be looked
/// at again.
#[tokio::test(start_paused = true)]
async fn a_copy_of_a_culprit_is_a_culprit_too() {
    let mut bench = Bench::new();
    let _worker = bench.start();
    let ghost = bench.record(&change(resident(0), "ghost", "1"), 77, 77);
    bench.publish(vec![ghost.clone(), ghost]).await;
    until("all", || bench.stored() == 2).await;
    let expected = [
        (0, DeadLetterReason::NoLogRow),
        (1, DeadLetterReason::NoLogRow),
    ];
    assert_eq!(dead(&bench), expected);
}

#[tokio::test(start_paused = true)]
async fn a_forged_copy_before_the_real_event_does_not_take_its_place() {
    let rows: [(&str, u128, u128); 3] = [
        ("other amounts", 1, 1),
        ("another log id", 2, 1),
        ("another time", 1, 2),
    ];
    for (what, id, time) in rows {
        for one_batch in [true, false] {
            let mut bench = Bench::new();
            let account = resident(0);
            let _worker = bench.start();
            let real = bench.log(&change(account, "key", "1"));
            let deposit = if what == "other amounts" { "1000" } else { "1" };
            let forged = bench.record(&change(account, "key", deposit), id, time);
            if one_batch {
                bench.publish(vec![forged, real]).await;
            } else {
                bench.store.gate.forget_permits(1_000_000);
                bench.publish(vec![forged]).await;
                until("being written", || {
                    bench.store.state.lock().unwrap().writes_begun == 1
                })
                .await;
                bench.publish(vec![real]).await;
                let_others_run().await;
                bench.store.gate.add_permits(100);
            }
            until("all", || bench.stored() == 2).await;
            assert_eq!(
                dead(&bench),
                [(0, DeadLetterReason::DiffersFromLog)],
                "{what}"
            );
            assert_eq!(bench.store.usd(account), ("1".to_owned(), 1), "{what}");
            assert_eq!(bench.store.statuses()["key"], LogStatus::Applied, "{what}");
        }
    }
}

/// Both shards live here, so the partition gives the forgery no away.
#[tokio::test(start_paused = true)]
async fn a_forged_shard_never_decides_about_the_real_account() {
    for forged_first in [true, false] {
        let mut bench = Bench::new();
        let account = resident(0);
        bench.endow(account, "100");
        let event = change(account, "spend", "-60");
        let home = key_of(&event).shard_id;
        let neighbour = stored_layout()
            .layout
            .shards_of(partition())
            .into_iter()
            .find(|shard| *shard != home)
            .unwrap();
        let real = bench.log(&event);
        let other = change(account, "other", "-50");
        let header = EnvelopeHeader {
            log_id: log_id(55),
            shard_id: neighbour,
            layout_epoch: LayoutEpoch::MIN,
            logged_at: Timestamp::from_unix_micros(55),
            traceparent: None,
        };
        let payload = bench.codec.encode_payload(&other);
        let forged = bench.codec.encode_envelope(header, payload);
        let records = if forged_first {
            vec![forged, real]
        } else {
            vec![real, forged]
        };
        let _worker = bench.start();
        bench.publish(records).await;
        until("all", || bench.stored() == 2).await;
        let at = i64::from(!forged_first);
        assert_eq!(dead(&bench), [(at, DeadLetterReason::NoLogRow)]);
        assert_eq!(bench.store.usd(account), ("40".to_owned(), 2));
    }
}

#[test]
fn a_shard_that_is_not_laid_out_is_in_the_wrong_partition_everywhere() {
    let bench = Bench::new();
    let header = EnvelopeHeader {
        log_id: log_id(1),
        shard_id: ShardId::try_new(4_000).unwrap(),
        layout_epoch: LayoutEpoch::MIN,
        logged_at: Timestamp::from_unix_micros(1),
        traceparent: None,
    };
    let payload = bench
        .codec
        .encode_payload(&EventBuilder::new(1, "k").build());
    let record = InboundRecord {
        offset: offset(0),
        key: Bytes::from_static(b"1"),
        payload: bench.codec.encode_envelope(header, payload),
    };
    let layout = stored_layout().layout;
    let item = admit(record, partition(), &layout, bench.codec.as_ref()).unwrap();
    let Verdict::Dead {
        reason, message, ..
    } = item.verdict
    else {
        panic!("dead");
    };
    assert_eq!(reason, DeadLetterReason::WrongPartition);
    assert_eq!(message, "shard 4000 is not laid out");
}

#[test]
fn a_late_copy_from_before_a_raise_is_a_redelivery_on_the_old_partition_and_nowhere_else() {
    let bench = Bench::new();
    let layout = raise(&stored_layout().layout, 8, &[]).unwrap();
    let verdict = |account: i64, epoch| {
        let header = EnvelopeHeader {
            log_id: log_id(1),
            shard_id: shard_of(account),
            layout_epoch: epoch,
            logged_at: Timestamp::from_unix_micros(1),
            traceparent: None,
        };
        let event = EventBuilder::new(account, "k").build();
        let payload = bench.codec.encode_payload(&event);
        let record = InboundRecord {
            offset: offset(0),
            key: Bytes::from_static(b"1"),
            payload: bench.codec.encode_envelope(header, payload),
        };
        let item = admit(record, partition(), &layout, bench.codec.as_ref());
        item.unwrap().verdict
    };
    let lives_here = |account: &i64| layout.partition_of(shard_of(*account)) == Some(partition());
    let (here, moved): (Vec<i64>, Vec<i64>) = (0..50).map(resident).partition(lives_here);
    let (here, moved) = (here[0], moved[0]);
    let (before, now) = (LayoutEpoch::MIN, layout.epoch());
    assert!(matches!(verdict(moved, before), Verdict::Redelivered));
    // Where its shard still lives, the log row judges it.
    assert!(matches!(verdict(here, before), Verdict::Event(_)));
    assert!(matches!(verdict(here, now), Verdict::Event(_)));
    // Placed by the map of today, it must not be here.
    assert!(matches!(verdict(moved, now), Verdict::Dead { .. }));
}

fn shard_of(account: i64) -> ShardId {
    crate::testkit::account(account).shard_id
}

#[test]
fn a_newer_schema_version_stops_the_partition_and_is_no_dead_letter() {
    let mut codec = MockEventCodec::new();
    codec
        .expect_decode_envelope()
        .returning(|_| -> Result<Envelope, _> {
            Err(EnvelopeError::NewerVersion { found: 2, known: 1 })
        });
    let record = InboundRecord {
        offset: offset(7),
        key: Bytes::new(),
        payload: Bytes::new(),
    };
    let layout = stored_layout().layout;
    let stop = admit(record, partition(), &layout, &codec).unwrap_err();
    let expected = StopReason::NewerVersion {
        offset: offset(7),
        found: 2,
        known: 1,
    };
    assert_eq!(stop, expected);
    assert!(stop.to_string().contains("upgrade the consumers"), "{stop}");
}

#[tokio::test(start_paused = true)]
async fn many_dead_letters_in_a_row_stop_the_partition_across_batches_and_terms() {
    let mut bench = Bench::new();
    bench.settings.poison_in_a_row_max = NonZeroUsize::new(3).unwrap();
    let worker = bench.start();
    let garbage = || Bytes::from_static(b"garbage");
    let sound = bench.log(&change(resident(0), "sound", "1"));
    bench
        .publish(vec![garbage(), garbage(), sound, garbage(), garbage()])
        .await;
    until("first", || bench.stored() == 5).await;
    bench.publish(vec![garbage(), garbage()]).await;
    let end = worker.await.unwrap();
    let expected = StopReason::Poison {
        in_a_row: 4,
        offset: offset(6),
    };
    assert_eq!(end.reason, expected);
    assert_eq!(
        bench.stored(),
        6,
        "what was allowed is kept, the one too many is not"
    );
    assert_eq!(end.poison_run, 3);
    // Starting again does not wear the run down.
    bench.poison_run = end.poison_run;
    let worker = bench.start();
    bench.publish(vec![garbage()]).await;
    assert!(matches!(
        worker.await.unwrap().reason,
        StopReason::Poison { .. }
    ));
    assert_eq!(bench.stored(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_lost_database_stops_the_partition_rather_than_turn_its_events_into_dead_letters() {
    let mut bench = Bench::new();
    bench.settings.poison_in_a_row_max = NonZeroUsize::new(3).unwrap();
    let worker = bench.start();
    let ghosts = (0..8)
        .map(|n| {
            bench.record(
                &change(resident(0), &format!("k{n}"), "1"),
                100 + n,
                100 + n,
            )
        })
        .collect();
    bench.publish(ghosts).await;
    assert!(matches!(
        worker.await.unwrap().reason,
        StopReason::Poison { .. }
    ));
    assert_eq!(dead(&bench).len(), 3);
}

#[derive(Debug)]
struct PanicsAt(&'static str);

impl BalanceRule for PanicsAt {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn check(&self, context: &RuleContext<'_>) -> Result<(), Rejection> {
        assert_ne!(context.event.idempotency_key().as_str(), self.0);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_on_which_a_rule_panics_is_parked_and_the_others_go_on() {
    let mut bench = Bench::new();
    let rules: Vec<Arc<dyn BalanceRule>> = vec![Arc::new(NonNegative), Arc::new(PanicsAt("bad"))];
    bench.rules = BalanceRuleSet::try_new(rules).unwrap();
    let _worker = bench.start();
    let account = resident(0);
    bench
        .submit(&[
            change(account, "before", "5"),
            change(account, "bad", "100"),
            change(account, "after", "-5"),
        ])
        .await;
    until("all", || bench.stored() == 3).await;
    let statuses = bench.store.statuses();
    assert_eq!(statuses["before"], LogStatus::Applied);
    assert_eq!(statuses["bad"], LogStatus::Parked);
    assert_eq!(statuses["after"], LogStatus::Applied);
    assert_eq!(bench.store.usd(account), ("0".to_owned(), 2));
}

#[derive(Debug)]
struct PanicsOnWealth;

impl BalanceRule for PanicsOnWealth {
    fn name(&self) -> &'static str {
        "panics-on-wealth"
    }

    fn check(&self, context: &RuleContext<'_>) -> Result<(), Rejection> {
        assert!(context.before.available < amount("1000"));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_is_not_parked_for_a_panic_over_a_balance_that_never_was() {
    let mut bench = Bench::new();
    let rules: Vec<Arc<dyn BalanceRule>> = vec![Arc::new(NonNegative), Arc::new(PanicsOnWealth)];
    bench.rules = BalanceRuleSet::try_new(rules).unwrap();
    bench.store.gate.forget_permits(1_000_000);
    let _worker = bench.start();
    let account = resident(0);
    let forged = bench.record(&change(account, "forged", "1000"), 77, 77);
    bench.publish(vec![forged]).await;
    until("being written", || {
        bench.store.state.lock().unwrap().writes_begun == 1
    })
    .await;
    // Decided on the forged thousand, the rule panics.
    bench.submit(&[change(account, "sound", "1")]).await;
    let_others_run().await;
    bench.store.gate.add_permits(100);
    until("all", || bench.stored() == 2).await;
    assert_eq!(bench.store.statuses()["sound"], LogStatus::Applied);
}
