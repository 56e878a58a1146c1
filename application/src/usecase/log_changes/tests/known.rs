//! Events whose key the log has already.

use super::*;
use crate::testkit::log_id;
use axs_domain::log_status::LogStatus;

fn logged_id(outcome: &LogOutcome) -> Option<LogId> {
    match outcome {
        LogOutcome::Logged { log_id, .. } => Some(*log_id),
        LogOutcome::Known { .. } | LogOutcome::Unknown(_) => None,
    }
}

fn init_row(change: &ChangeToLog, log_id: LogId) -> ChangeLogRecord {
    ChangeLogRecord {
        log_id,
        key: change.key.clone(),
        fingerprint: change.fingerprint,
        payload: change.payload.clone(),
        status: LogStatus::Init,
        reason: None,
        logged_at: Timestamp::from_unix_micros(1),
        decided_at: None,
        position: None,
        entries: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn of_copies_in_one_commit_one_is_logged_and_published_and_all_places_come_back() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let outcomes = bench.log(&["a", "a", "b", "a"]).await.unwrap();
    let ids: Vec<Option<LogId>> = outcomes.iter().map(logged_id).collect();
    assert_eq!(ids, [Some(log_id(1)), None, Some(log_id(3)), None]);
    let again = bench.log(&["b"]).await.unwrap();
    let [LogOutcome::Known { record, .. }] = &again[..] else {
        panic!("{again:?}");
    };
    assert_eq!((record.log_id, record.status), (log_id(3), LogStatus::Init));
    assert!(bench.all_places_are_back().await);
    assert_eq!(bench.published(), ["a", "b"]);
}

/// The answer to a commit was lost: the row is there, the client was told nothing, and nobody
/// published it. Sent again, as a client must, it may not be overtaken by what follows.
#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_published_is_published_before_what_follows_its_second_try() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let lost = change(&bench.codec, "lost");
    bench.log.put(init_row(&lost, log_id(77)));
    let known = bench.log(&["lost"]).await.unwrap();
    assert!(
        matches!(&known[..], [LogOutcome::Known { record, publication: None }] if record.log_id == log_id(77))
    );
    bench.log(&["next"]).await.unwrap();
    sleep(SETTLED).await;
    assert_eq!(bench.published(), ["lost", "next"]);
    let first = bench.topic.enqueued().swap_remove(0);
    let header = bench.codec.decode_envelope(first.payload).unwrap().header;
    assert_eq!(header.log_id, log_id(77), "under its first log id");
    assert!(bench.all_places_are_back().await);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_publishes_again_can_be_waited_for_like_a_first_try() {
    let bench = Bench::new(MemoryTopic::holding(10), 100);
    let lost = change(&bench.codec, "lost");
    bench.log.put(init_row(&lost, log_id(77)));
    let known = bench.begin(&["lost"], AckLevel::Published).await.unwrap();
    let [LogOutcome::Known { publication, .. }] = &mut known.unwrap()[..] else {
        panic!("it was known");
    };
    let waits = publication
        .take()
        .unwrap()
        .wait_until(Instant::now() + SETTLED);
    let delivered = async {
        sleep(SETTLED / 2).await;
        bench.topic.deliver(1);
    };
    assert!(tokio::join!(waits, delivered).0);
}

#[tokio::test(start_paused = true)]
async fn a_known_event_that_was_published_or_decided_is_not_published_again() {
    let bench = Bench::new(MemoryTopic::delivering(), 100);
    let mut noted = init_row(&change(&bench.codec, "noted"), log_id(1));
    noted.position = Some((PartitionId::MIN, axs_domain::id::Offset::MIN));
    let mut decided = init_row(&change(&bench.codec, "decided"), log_id(2));
    decided.status = LogStatus::Applied;
    let mut other = init_row(&change(&bench.codec, "other"), log_id(3));
    other.fingerprint = Fingerprint::of(&EventBuilder::new(2, "other").build());
    for row in [noted, decided, other] {
        bench.log.put(row);
    }
    bench.log(&["noted", "decided", "other"]).await.unwrap();
    assert!(bench.all_places_are_back().await);
    assert_eq!(bench.published(), [""; 0]);
}
