//! Pausing writes and switching the layout.

use crate::event::{deposit, key};
use crate::laid_out::{layout, on_laid_out_database, placing};
use crate::support::{TestDatabase, on_database};
use axs_application::port::change_log::{AppendError, AppendOutcome, ChangeLog, Placing};
use axs_application::port::layout_change::{
    LayoutChange, LayoutChangeError, LayoutChangeKind, PartitionStart, Pausing,
};
use axs_application::port::layout_change_notes::{LayoutChangeNotes, LayoutChangeStep};
use axs_application::port::layout_store::{LayoutStore, StoredLayout};
use axs_application::port::partition_leadership::{PartitionLeadership, TakeOver};
use axs_domain::fencing::Claim;
use axs_domain::id::{LayoutChangeId, LayoutEpoch, Offset, OwnerId, PartitionId};
use axs_domain::layout::Layout;
use axs_domain::layout_raise::{PoolPartitions, raise};
use axs_domain::text::PoolName;
use axs_infrastructure::postgres::change_log::PgChangeLog;
use axs_infrastructure::postgres::layout_change::PgLayoutChange;
use axs_infrastructure::postgres::layout_change_notes::PgLayoutChangeNotes;
use axs_infrastructure::postgres::layout_store::PgLayoutStore;
use axs_infrastructure::postgres::leadership::{LeadershipSettings, PgPartitionLeadership};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, Postgres};
use std::time::Duration;
use uuid::Uuid;

const RAISE: LayoutChangeKind = LayoutChangeKind::Raise { partition_count: 5 };
const GROWING: LayoutChangeStep = LayoutChangeStep::GrowingTopics;
const LEASE: Duration = Duration::from_secs(120);

fn partition(number: i32) -> PartitionId {
    PartitionId::try_new(number).unwrap()
}

fn start(number: i32, offset: i64) -> PartitionStart {
    PartitionStart {
        partition: partition(number),
        offset: Offset::try_new(offset).unwrap(),
    }
}

/// The layout of the tests with five partitions: two more for `retail`.
fn raised() -> Layout {
    let retail = PoolPartitions {
        name: PoolName::parse("retail").unwrap(),
        partitions: 4,
    };
    raise(&layout().layout, 5, &[retail]).unwrap()
}

async fn paused(changes: &PgLayoutChange, kind: LayoutChangeKind) -> LayoutChangeId {
    match changes.pause(kind).await.unwrap() {
        Pausing::Paused(change) | Pausing::GoesOn(change) => change,
        other => panic!("{other:?}"),
    }
}

async fn taken(test: &TestDatabase, owner: OwnerId, number: i32) -> (Claim, Offset, LayoutEpoch) {
    let leadership = leadership(test);
    let taken = leadership.take_over(partition(number), owner, LEASE).await;
    match taken.unwrap() {
        TakeOver::Taken {
            claim,
            stored_offset,
            layout_epoch,
            ..
        } => (claim, stored_offset, layout_epoch),
        TakeOver::Held => panic!("partition {number} is held"),
    }
}

fn leadership(test: &TestDatabase) -> PgPartitionLeadership {
    PgPartitionLeadership::new(test.database(), LeadershipSettings::default())
}

/// A session of plain SQL beside the adapters.
async fn session(test: &TestDatabase) -> (PoolConnection<Postgres>, i32) {
    let mut session = test
        .elsewhere()
        .database()
        .writer()
        .acquire()
        .await
        .unwrap();
    session.close_on_drop();
    let pid = sqlx::query_scalar("SELECT pg_backend_pid()");
    let pid = pid.fetch_one(&mut *session).await.unwrap();
    (session, pid)
}

async fn run(session: &mut PoolConnection<Postgres>, statements: &str) {
    let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    session.execute(statements).await.unwrap();
}

async fn until_somebody_waits_for(test: &TestDatabase, pid: i32) {
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity
          WHERE datname = current_database() AND {pid} = ANY (pg_blocking_pids(pid))"
    );
    let waits = async {
        while test.number(&waiting).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waits)
        .await
        .expect("somebody waits");
}

const LOGGED: &str = "SELECT count(*) FROM balance_change_states";

#[tokio::test]
async fn while_writing_is_paused_nothing_is_logged_and_afterwards_it_is() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.elsewhere().database());
        let changes = PgLayoutChange::new(test.database());
        let row = deposit(&key(3, 7, "a"), "1");
        let change = paused(&changes, RAISE).await;
        let refused = log.append(vec![row.clone()], placing(&test).await).await;
        assert_eq!(refused, Err(AppendError::LayoutPaused));
        assert_eq!(test.number(LOGGED).await, 0);
        assert!(changes.resume(Some(change)).await.unwrap());
        let logged = log.append(vec![row], placing(&test).await).await.unwrap();
        assert!(matches!(logged[..], [AppendOutcome::Logged { .. }]));
    })
    .await;
}

#[tokio::test]
async fn rows_mapped_by_another_epoch_are_refused_with_the_one_that_stands() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        test.execute("UPDATE layout SET epoch = 7").await;
        let refused = log
            .append(vec![deposit(&key(3, 7, "a"), "1")], placing(&test).await)
            .await;
        let current = LayoutEpoch::try_new(7).unwrap();
        assert_eq!(refused, Err(AppendError::LayoutMoved { current }));
        assert_eq!(test.number(LOGGED).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_pause_waits_for_an_append_that_began_before_it() {
    on_laid_out_database(async |test| {
        let (mut append, pid) = session(&test).await;
        run(
            &mut append,
            "BEGIN; SELECT admit_log(1, database_incarnation())",
        )
        .await;
        let changes = PgLayoutChange::new(test.database());
        let pausing = tokio::spawn(async move { paused(&changes, RAISE).await });
        until_somebody_waits_for(&test, pid).await;
        let marked = "SELECT count(*) FROM layout WHERE paused_at IS NOT NULL";
        assert_eq!(test.number(marked).await, 1, "later appends are refused");
        assert!(!pausing.is_finished());
        run(&mut append, "COMMIT").await;
        pausing.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_append_whose_statement_began_before_the_pause_and_got_its_turn_after_it_is_refused() {
    on_laid_out_database(async |test| {
        let (mut holder, pid) = session(&test).await;
        run(
            &mut holder,
            "BEGIN; SELECT pg_advisory_xact_lock(layout_lock_key())",
        )
        .await;
        let log = PgChangeLog::new(test.elsewhere().database());
        let placed_by = placing(&test).await;
        let appending = tokio::spawn(async move {
            let row = deposit(&key(3, 7, "a"), "1");
            log.append(vec![row], placed_by).await
        });
        until_somebody_waits_for(&test, pid).await;
        test.execute(
            "UPDATE layout SET change_id = gen_random_uuid(), change_kind = 'ADOPT',
                               paused_at = clock_timestamp(),
                               change_seen_at = clock_timestamp()",
        )
        .await;
        run(&mut holder, "COMMIT").await;
        let refused = appending.await.unwrap();
        assert_eq!(refused, Err(AppendError::LayoutPaused));
        assert_eq!(test.number(LOGGED).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_raise_fences_the_leaders_moves_the_map_and_ends_the_pause_as_one() {
    on_laid_out_database(async |test| {
        let changes = PgLayoutChange::new(test.database());
        let owner = OwnerId::new(Uuid::new_v4());
        let (claim, ..) = taken(&test, owner, 0).await;
        let change = paused(&changes, RAISE).await;
        let store = PgLayoutStore::new(test.database());
        let pausing = store.load().await.unwrap().unwrap();
        assert_eq!(pausing.grown_to, None, "it only drains");
        let notes = PgLayoutChangeNotes::new(test.database());
        assert!(notes.note(change, GROWING).await.unwrap());
        let growing = store.load().await.unwrap().unwrap();
        assert_eq!(growing.grown_to, Some(5));
        let starts = vec![start(3, 0), start(4, 9)];
        changes.raise(change, raised(), starts).await.unwrap();
        let expected = StoredLayout {
            layout: raised(),
            ..layout()
        };
        assert_eq!(store.load().await.unwrap(), Some(expected));
        let held = leadership(&test)
            .renew(vec![(partition(0), claim)], LEASE)
            .await;
        assert_eq!(held, Ok(Vec::new()), "its lease is over");
        let admits = format!(
            "SELECT count(*) FROM partition_leader_locks WHERE partition = 0
              AND fencing_token = {} AND owner = '{owner}'",
            claim.token
        );
        assert_eq!(test.number(&admits).await, 0, "its writes are fenced");
        let other = OwnerId::new(Uuid::new_v4());
        for (number, offset) in [(0, 0), (3, 0), (4, 9)] {
            let (_, stored, epoch) = taken(&test, other, number).await;
            assert_eq!((stored.value(), epoch), (offset, raised().epoch()));
        }
        let log = PgChangeLog::new(test.database());
        let row = deposit(&key(3, 7, "a"), "1");
        let old_map = log.append(vec![row.clone()], placing(&test).await).await;
        let current = raised().epoch();
        assert_eq!(old_map, Err(AppendError::LayoutMoved { current }));
        let placed_by = Placing {
            layout_epoch: current,
            ..placing(&test).await
        };
        assert!(log.append(vec![row], placed_by).await.is_ok());
        let twice = changes.raise(change, raised(), Vec::new()).await;
        assert_eq!(twice, Err(LayoutChangeError::TakenOver));
    })
    .await;
}

/// Otherwise the first scan of every new term would read every state there ever was.
#[tokio::test]
async fn a_raise_carries_the_relays_marks_on_where_every_partition_has_one() {
    const MARKED: &str = "UPDATE partition_leader_locks
        SET relay_epoch = layout_epoch,
            relay_low_water = timestamptz '2026-01-01 10:00+00' + partition * interval '1 hour'";
    const MARKS: &str = "SELECT count(*) FROM partition_leader_locks
        WHERE relay_epoch = layout_epoch AND relay_low_water = '2026-01-01 10:00+00'";
    const NONE: &str =
        "UPDATE partition_leader_locks SET relay_low_water = NULL WHERE partition = 2";
    const OF_BEFORE: &str =
        "UPDATE partition_leader_locks SET relay_epoch = layout_epoch - 1 WHERE partition = 2";
    const NEVER: &str = "UPDATE partition_leader_locks SET relay_epoch = NULL WHERE partition = 2";
    for (spoilt, carried) in [
        (None, 5),
        (Some(NONE), 0),
        (Some(OF_BEFORE), 0),
        (Some(NEVER), 0),
    ] {
        on_laid_out_database(async move |test| {
            let changes = PgLayoutChange::new(test.database());
            test.execute(MARKED).await;
            if let Some(spoilt) = spoilt {
                test.execute(spoilt).await;
            }
            let change = paused(&changes, RAISE).await;
            let starts = vec![start(3, 0), start(4, 9)];
            changes.raise(change, raised(), starts).await.unwrap();
            assert_eq!(test.number(MARKS).await, carried, "{spoilt:?}");
            let marks = "SELECT count(relay_low_water) FROM partition_leader_locks";
            assert_eq!(test.number(marks).await, carried, "{spoilt:?}");
        })
        .await;
    }
}

/// A failover between the drain and the switch may take decisions back.
#[tokio::test]
async fn a_raise_does_not_switch_over_an_event_that_is_undecided_again() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let row = deposit(&key(3, 7, "a"), "1");
        log.append(vec![row], placing(&test).await).await.unwrap();
        test.execute(
            "UPDATE partition_leader_locks
                SET relay_epoch = layout_epoch, relay_low_water = now() - interval '1 s'",
        )
        .await;
        let changes = PgLayoutChange::new(test.database());
        let change = paused(&changes, RAISE).await;
        let starts = || vec![start(3, 0), start(4, 0)];
        let refused = changes.raise(change, raised(), starts()).await;
        assert_eq!(refused, Err(LayoutChangeError::Undecided));
        let store = PgLayoutStore::new(test.database());
        assert_eq!(store.load().await.unwrap(), Some(layout()));
        test.execute(
            "UPDATE balance_change_states SET status = 1, decided_at = now(), partition = 0,
                    record_offset = 0",
        )
        .await;
        changes.raise(change, raised(), starts()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_pause_that_can_not_wait_for_the_appends_under_way_lets_writing_go_on() {
    fails_to_wait(RAISE, false, false).await;
    fails_to_wait(RAISE, true, false).await;
    fails_to_wait(LayoutChangeKind::Adopt, false, false).await;
    // Its command before may have put another log behind undecided events.
    fails_to_wait(LayoutChangeKind::Adopt, true, true).await;
}

async fn fails_to_wait(kind: LayoutChangeKind, was_paused: bool, stays_paused: bool) {
    on_laid_out_database(async move |test| {
        if was_paused {
            paused(&PgLayoutChange::new(test.database()), kind).await;
        }
        let (mut append, pid) = session(&test).await;
        run(
            &mut append,
            // As an append that was admitted before any pause.
            "BEGIN; SELECT pg_advisory_xact_lock_shared(layout_lock_key())",
        )
        .await;
        let changes = PgLayoutChange::new(test.database());
        let pausing = tokio::spawn(async move { changes.pause(kind).await });
        until_somebody_waits_for(&test, pid).await;
        test.execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE datname = current_database() AND {pid} = ANY (pg_blocking_pids(pid))"
        ))
        .await;
        let failure = pausing.await.unwrap().unwrap_err().to_string();
        assert_eq!(failure.contains("STILL PAUSED"), stays_paused, "{failure}");
        run(&mut append, "ROLLBACK").await;
        let paused = "SELECT count(*) FROM layout WHERE change_id IS NOT NULL";
        assert_eq!(test.number(paused).await, i64::from(stays_paused));
    })
    .await;
}

#[tokio::test]
async fn a_raise_waits_for_a_leaders_open_batch() {
    on_laid_out_database(async |test| {
        let changes = PgLayoutChange::new(test.database());
        let change = paused(&changes, RAISE).await;
        let (mut batch, pid) = session(&test).await;
        run(
            &mut batch,
            "BEGIN; SELECT 1 FROM partition_leader_locks WHERE partition = 1 FOR NO KEY UPDATE",
        )
        .await;
        let raising = tokio::spawn(async move {
            changes
                .raise(change, raised(), vec![start(3, 0), start(4, 0)])
                .await
        });
        until_somebody_waits_for(&test, pid).await;
        assert!(!raising.is_finished());
        run(
            &mut batch,
            "UPDATE partition_leader_locks SET stored_offset = 8 WHERE partition = 1; COMMIT",
        )
        .await;
        raising.await.unwrap().unwrap();
        let stored = "SELECT stored_offset FROM partition_leader_locks WHERE partition = 1";
        assert_eq!(test.number(stored).await, 8, "its commit stands");
    })
    .await;
}

#[tokio::test]
async fn a_map_that_does_not_follow_the_standing_one_changes_nothing() {
    on_laid_out_database(async |test| {
        let changes = PgLayoutChange::new(test.database());
        let change = paused(&changes, RAISE).await;
        test.execute("UPDATE layout SET epoch = 4").await;
        let starts = vec![start(3, 0), start(4, 0)];
        let refused = changes.raise(change, raised(), starts).await;
        let standing = LayoutEpoch::try_new(4).unwrap();
        assert_eq!(refused, Err(LayoutChangeError::Moved { standing }));
        let tokens = "SELECT sum(fencing_token)::bigint FROM partition_leader_locks";
        assert_eq!(test.number(tokens).await, 0, "nobody is fenced");
    })
    .await;
}

#[tokio::test]
async fn the_same_change_is_taken_over_by_who_asks_again_and_another_one_is_not() {
    on_laid_out_database(async |test| {
        let changes = PgLayoutChange::new(test.database());
        let dead = paused(&changes, RAISE).await;
        for other in [
            LayoutChangeKind::Adopt,
            LayoutChangeKind::Raise { partition_count: 6 },
        ] {
            match changes.pause(other).await.unwrap() {
                Pausing::OtherUnderWay(standing) => assert_eq!(standing.kind, RAISE),
                taken => panic!("{taken:?}"),
            }
        }
        let successor = paused(&changes, RAISE).await;
        let late = changes.raise(dead, raised(), Vec::new()).await;
        assert_eq!(late, Err(LayoutChangeError::TakenOver));
        assert!(!changes.resume(Some(dead)).await.unwrap());
        assert!(changes.resume(Some(successor)).await.unwrap());
        assert!(!changes.resume(None).await.unwrap(), "nothing pauses");
        let six = LayoutChangeKind::Raise { partition_count: 6 };
        paused(&changes, six).await;
        assert!(changes.resume(None).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_change_is_told_with_its_silence_and_one_that_was_taken_back_may_take_no_step() {
    on_laid_out_database(async |test| {
        let changes = PgLayoutChange::new(test.database());
        let notes = PgLayoutChangeNotes::new(test.database());
        assert_eq!(notes.standing().await, Ok(None));
        let change = paused(&changes, RAISE).await;
        let standing = notes.standing().await.unwrap().unwrap();
        assert_eq!(standing.kind, RAISE);
        test.execute("UPDATE layout SET change_seen_at = change_seen_at - interval '1 hour'")
            .await;
        let hour = Duration::from_secs(3_600);
        let standing = notes.standing().await.unwrap().unwrap();
        assert!(standing.silent_for >= hour, "{standing:?}");
        assert!(
            notes
                .note(change, LayoutChangeStep::Draining)
                .await
                .unwrap()
        );
        let standing = notes.standing().await.unwrap().unwrap();
        assert!(standing.silent_for < hour, "{standing:?}");

        assert!(changes.resume(None).await.unwrap());
        assert_eq!(notes.standing().await, Ok(None));
        for step in [LayoutChangeStep::Draining, GROWING] {
            assert_eq!(notes.note(change, step).await, Ok(false), "{step:?}");
        }
        let stored = PgLayoutStore::new(test.database()).load().await.unwrap();
        assert_eq!(stored, Some(layout()), "nothing is left of it");
    })
    .await;
}

#[tokio::test]
async fn what_a_raise_that_was_taken_back_may_have_grown_stays_known_until_a_raise_to_as_many() {
    on_laid_out_database(async |test| {
        let changes = PgLayoutChange::new(test.database());
        let notes = PgLayoutChangeNotes::new(test.database());
        let store = PgLayoutStore::new(test.database());
        let six = LayoutChangeKind::Raise { partition_count: 6 };
        for (kind, grown) in [(RAISE, 5), (six, 6), (RAISE, 6)] {
            let change = paused(&changes, kind).await;
            assert!(notes.note(change, GROWING).await.unwrap());
            assert!(changes.resume(Some(change)).await.unwrap());
            let stored = store.load().await.unwrap().unwrap();
            assert_eq!(stored.grown_to, Some(grown));
        }
        let change = paused(&changes, RAISE).await;
        let starts = vec![start(3, 0), start(4, 0)];
        changes.raise(change, raised(), starts).await.unwrap();
        // The raise to six may still be growing the topics.
        assert_eq!(store.load().await.unwrap().unwrap().grown_to, Some(6));
    })
    .await;
}

#[tokio::test]
async fn adopting_a_log_sets_the_offsets_forgets_the_old_records_and_keeps_the_pause() {
    on_laid_out_database(async |test| {
        test.execute(
            "UPDATE partition_leader_locks SET stored_offset = 40, results_offset = 30,
                    stored_record_digest = decode(repeat('ab', 32), 'hex')",
        )
        .await;
        let changes = PgLayoutChange::new(test.database());
        let owner = OwnerId::new(Uuid::new_v4());
        let (claim, ..) = taken(&test, owner, 1).await;
        let change = paused(&changes, LayoutChangeKind::Adopt).await;
        let cluster = Some("another".to_owned());
        let starts = vec![start(1, 3)];
        changes
            .adopt(change, starts, cluster.clone())
            .await
            .unwrap();
        let adopted = "SELECT count(*) FROM partition_leader_locks
                        WHERE stored_offset = 3 AND results_offset = 3
                          AND stored_record_digest IS NULL AND log_adopted_at IS NOT NULL";
        assert_eq!(test.number(adopted).await, 1);
        let untouched = "SELECT count(*) FROM partition_leader_locks
                          WHERE stored_offset = 40 AND log_adopted_at IS NULL";
        assert_eq!(test.number(untouched).await, 2);
        let stored = PgLayoutStore::new(test.database()).load().await.unwrap();
        assert_eq!(stored.unwrap().cluster_id, cluster);
        let held = leadership(&test)
            .renew(vec![(partition(1), claim)], LEASE)
            .await;
        assert_eq!(held, Ok(Vec::new()));
        assert!(
            changes.resume(Some(change)).await.unwrap(),
            "it paused until now"
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_undecided_is_counted_up_to_a_bound() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let rows = (0..5).map(|n| deposit(&key(n, 7, &format!("key {n}")), "1"));
        log.append(rows.collect(), placing(&test).await)
            .await
            .unwrap();
        test.execute(
            "UPDATE balance_change_states SET status = 3, reason_code = 100, decided_at = now(),
                    partition = 0, record_offset = 0 WHERE shard_id = 0",
        )
        .await;
        let changes = PgLayoutChange::new(test.database());
        assert_eq!(changes.undecided(100).await, Ok(4));
        assert_eq!(changes.undecided(2).await, Ok(2));
    })
    .await;
}

/// A change of the layout counts again and again while writing is paused.
#[tokio::test]
async fn what_lies_below_the_mark_of_every_relay_is_not_read_to_count_it() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let rows = (0..3).map(|n| deposit(&key(n, 7, &format!("key {n}")), "1"));
        log.append(rows.collect(), placing(&test).await)
            .await
            .unwrap();
        // Below the mark no relay leaves one, so only what does not read it misses it.
        test.execute(
            "UPDATE balance_change_states SET logged_at = now() - interval '1 day'
              WHERE shard_id = 0",
        )
        .await;
        let changes = PgLayoutChange::new(test.database());
        let marked = |mark: &str| {
            format!(
                "UPDATE partition_leader_locks
                    SET relay_epoch = layout_epoch, relay_low_water = now() + interval '{mark}'"
            )
        };
        let no_mark = "UPDATE partition_leader_locks SET relay_low_water = NULL
                        WHERE partition = 2";
        let of_before = "UPDATE partition_leader_locks SET relay_epoch = relay_epoch - 1
                          WHERE partition = 2";
        for (mark, spoilt, counted) in [
            ("-1 s", None, 2),
            ("-2 days", None, 3),
            ("1 hour", None, 3),
            ("-1 s", Some(no_mark), 3),
            ("-1 s", Some(of_before), 3),
        ] {
            test.execute(&marked(mark)).await;
            if let Some(spoilt) = spoilt {
                test.execute(spoilt).await;
            }
            let count = changes.undecided(100).await;
            assert_eq!(count, Ok(counted), "{mark} {spoilt:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_layout_there_is_nothing_to_pause() {
    on_database(async |test| {
        let changes = PgLayoutChange::new(test.database());
        assert_eq!(changes.pause(RAISE).await, Ok(Pausing::NotLaidOut));
        assert_eq!(changes.resume(None).await, Ok(false));
    })
    .await;
}
