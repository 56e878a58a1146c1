//! Events that are not what their log rows are: found, told apart, and without effect.

use crate::fixture::{Consumer, Decider, Log, fingerprint, log_row, offset, on_partitions};
use crate::writing::everything;
use axs_application::port::batch_writer::{Culprit, CulpritKind, WriteError};
use axs_domain::id::LogId;
use axs_domain::time::Timestamp;
use uuid::Uuid;

fn culprit(at: i64, kind: CulpritKind) -> Culprit {
    Culprit {
        offset: offset(at),
        kind,
    }
}

#[tokio::test]
async fn a_redelivered_event_is_found_out_whatever_became_of_it_first() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let applied = log_row(&test, 1, "applied").await;
        let rejected = log_row(&test, 2, "rejected").await;
        let first = decider
            .batch()
            .apply(&applied, &[("USD", "5", "0")])
            .reject(&rejected, "USD")
            .decided();
        consumer.write(first).await.unwrap();

        let fresh = log_row(&test, 3, "fresh").await;
        let again = decider
            .batch()
            .apply(&applied, &[("USD", "5", "0")])
            .apply(&fresh, &[("USD", "1", "0")])
            .reject(&rejected, "USD")
            .decided();
        let before = everything(&test).await;
        let refused = consumer.write(again).await;
        let culprits = vec![
            culprit(2, CulpritKind::NotInit),
            culprit(4, CulpritKind::NotInit),
        ];
        assert_eq!(refused, Err(WriteError::Culprits(culprits)));
        assert_eq!(everything(&test).await, before);
    })
    .await;
}

/// What is other than in the log, the verdict on it, and how it comes about.
type Forgery = (&'static str, CulpritKind, fn(&mut Log));

#[tokio::test]
async fn each_way_to_differ_from_the_log_has_its_verdict() {
    let rows: &[Forgery] = &[
        ("another key", CulpritKind::NoLogRow, |log| {
            log.key = Log::new(1, "unknown").key;
        }),
        ("another account", CulpritKind::NoLogRow, |log| {
            log.key = Log::new(5, "sound").key;
        }),
        ("another log id", CulpritKind::NoLogRow, |log| {
            log.log_id = LogId::new(Uuid::now_v7());
        }),
        ("other content", CulpritKind::DiffersFromLog, |log| {
            log.fingerprint = fingerprint(2);
        }),
        ("another time", CulpritKind::DiffersFromLog, |log| {
            log.logged_at = Timestamp::from_unix_micros(log.logged_at.unix_micros() + 1);
        }),
    ];
    on_partitions(async move |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        let sound = log_row(&test, 1, "sound").await;
        let neighbour = log_row(&test, 2, "neighbour").await;
        let before = everything(&test).await;
        for (what, kind, forge) in rows {
            let mut forged = sound.clone();
            forge(&mut forged);
            let batch = Decider::new(0, claim)
                .batch()
                .apply(&neighbour, &[("USD", "1", "0")])
                .apply(&forged, &[("USD", "5", "0")])
                .decided();
            let refused = consumer.write(batch).await;
            let culprits = vec![culprit(1, *kind)];
            assert_eq!(refused, Err(WriteError::Culprits(culprits)), "{what}");
            assert_eq!(everything(&test).await, before, "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn of_a_forged_and_a_sound_event_with_one_key_only_the_sound_one_stays() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        let sound = log_row(&test, 1, "key").await;
        let forged = Log {
            fingerprint: fingerprint(9),
            ..sound.clone()
        };
        for (first, second, forged_at) in [(&forged, &sound, 0), (&sound, &forged, 1)] {
            let batch = Decider::new(0, claim)
                .batch()
                .apply(first, &[("USD", "5", "0")])
                .apply(second, &[("USD", "7", "0")])
                .decided();
            let culprits = vec![culprit(forged_at, CulpritKind::DiffersFromLog)];
            let refused = consumer.write(batch).await;
            assert_eq!(refused, Err(WriteError::Culprits(culprits)));
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_sound_copies_the_first_stays() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let log = log_row(&test, 1, "key").await;
        let batch = decider
            .batch()
            .apply(&log, &[("USD", "5", "0")])
            .apply(&log, &[("USD", "5", "0")])
            .decided();
        let culprits = vec![culprit(1, CulpritKind::NotInit)];
        let refused = consumer.write(batch).await;
        assert_eq!(refused, Err(WriteError::Culprits(culprits)));
    })
    .await;
}

#[tokio::test]
async fn a_forged_copy_of_a_final_event_is_a_forgery_and_no_redelivery() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let log = log_row(&test, 1, "key").await;
        let first = decider.batch().apply(&log, &[("USD", "5", "0")]).decided();
        consumer.write(first).await.unwrap();
        let forged = Log {
            fingerprint: fingerprint(9),
            ..log
        };
        let second = decider.batch().reject(&forged, "USD").decided();
        let culprits = vec![culprit(1, CulpritKind::DiffersFromLog)];
        let refused = consumer.write(second).await;
        assert_eq!(refused, Err(WriteError::Culprits(culprits)));
    })
    .await;
}

#[tokio::test]
async fn the_session_goes_on_after_a_spoilt_batch() {
    on_partitions(async |test| {
        let consumer = Consumer::new(&test);
        let claim = consumer.lead(0).await;
        let log = log_row(&test, 1, "key").await;
        let pid = "SELECT backend_pid::bigint FROM partition_leader_locks WHERE partition = 0";
        let unknown = Log::new(2, "unknown");
        let spoilt = Decider::new(0, claim)
            .batch()
            .reject(&unknown, "USD")
            .decided();
        consumer.write(spoilt).await.unwrap_err();
        let before = test.number(pid).await;
        let sound = Decider::new(0, claim)
            .batch()
            .apply(&log, &[("USD", "5", "0")])
            .decided();
        consumer.write(sound).await.unwrap();
        assert_eq!(test.number(pid).await, before);
    })
    .await;
}
