//! What the relay scans.

use crate::event::{deposit, key, shard};
use crate::laid_out::on_laid_out_database;
use crate::support::TestDatabase;
use axs_application::port::change_log::{ChangeLog, ChangeLogRecord, NewChangeLog};
use axs_application::port::relay_source::{RelayCursor, RelayPage, RelayScan, RelaySource};
use axs_domain::id::ShardId;
use axs_infrastructure::postgres::change_log::PgChangeLog;
use axs_infrastructure::postgres::relay_source::PgRelaySource;
use std::time::Duration;

/// The grace of the scans below; rows are aged around it.
const GRACE: Duration = Duration::from_secs(60);

fn scan(
    shards: impl IntoIterator<Item = i32>,
    after: Option<RelayCursor>,
    limit: u32,
) -> RelayScan {
    RelayScan {
        shards: shards.into_iter().map(shard).collect::<Vec<ShardId>>(),
        after,
        grace: GRACE,
        limit,
    }
}

fn cursor(record: &ChangeLogRecord) -> RelayCursor {
    RelayCursor {
        logged_at: record.logged_at,
        log_id: record.log_id,
    }
}

/// Logs one row on a shard and makes it this many seconds old.
async fn log_aged(test: &TestDatabase, shard_id: i32, name: &str, seconds: i64) -> NewChangeLog {
    let row = deposit(&key(shard_id, 7, name), "1");
    let log = PgChangeLog::new(test.database());
    log.append(vec![row.clone()]).await.unwrap();
    test.execute(&format!(
        "UPDATE balance_change_states SET logged_at = date_trunc('hour', now()) - interval '{seconds} s'
          WHERE log_id = '{}'",
        row.log_id
    ))
    .await;
    row
}

fn names(page: &RelayPage) -> Vec<&str> {
    page.rows
        .iter()
        .map(|row| row.key.idempotency_key.as_str())
        .collect()
}

#[tokio::test]
async fn a_scan_sees_rows_that_are_init_and_past_the_grace_oldest_first() {
    on_laid_out_database(async |test| {
        let source = PgRelaySource::new(test.database());
        let log = PgChangeLog::new(test.database());
        log_aged(&test, 3, "second", 200).await;
        let oldest = log_aged(&test, 17, "first", 300).await;
        let done = log_aged(&test, 3, "done", 400).await;
        log_aged(&test, 4, "of another shard", 400).await;
        log.append(vec![deposit(&key(3, 7, "just now"), "1")])
            .await
            .unwrap();
        test.execute(&format!(
            "UPDATE balance_change_states
                SET status = 1, partition = 0, record_offset = 1, decided_at = now()
              WHERE log_id = '{}'",
            done.log_id
        ))
        .await;
        let page = source.still_init(scan([17, 3], None, 10)).await.unwrap();
        assert_eq!(names(&page), ["first", "second"]);
        assert_eq!(page.rows[0].log_id, oldest.log_id);
        assert_eq!(page.rows[0].payload, oldest.payload);
        assert_eq!(page.rows[0].fingerprint, oldest.fingerprint);
        assert!(
            source
                .still_init(scan([], None, 10))
                .await
                .unwrap()
                .rows
                .is_empty()
        );
    })
    .await;
}

#[tokio::test]
async fn a_scan_goes_on_after_its_cursor_and_rows_of_one_moment_go_by_their_ids() {
    on_laid_out_database(async |test| {
        let source = PgRelaySource::new(test.database());
        let mut same: Vec<NewChangeLog> = Vec::new();
        for name in ["a", "b", "c", "d"] {
            // The keys' order is not that of the ids, nor that of the shards.
            let shard_id = if name == "b" { 19 } else { 3 };
            same.push(log_aged(&test, shard_id, name, 100).await);
        }
        log_aged(&test, 3, "later", 90).await;
        same.sort_by_key(|row| row.log_id);
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = source.still_init(scan([3, 19], after, 2)).await.unwrap();
            let Some(last) = page.rows.last() else { break };
            assert!(page.rows.len() <= 2);
            after = Some(cursor(last));
            seen.extend(page.rows.iter().map(|row| row.log_id));
        }
        let expected: Vec<_> = same.iter().map(|row| row.log_id).collect();
        assert_eq!(seen[..4], expected);
        assert_eq!(seen.len(), 5);
    })
    .await;
}

#[tokio::test]
async fn an_empty_scan_says_up_to_when_nothing_was_left() {
    on_laid_out_database(async |test| {
        let source = PgRelaySource::new(test.database());
        let log = PgChangeLog::new(test.database());
        let micros = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let before = test.number(micros).await;
        let page = source.still_init(scan([3], None, 10)).await.unwrap();
        let after = test.number(micros).await;
        let grace = i64::try_from(GRACE.as_micros()).unwrap();
        let scanned_to = page.scanned_to.unix_micros() + grace;
        assert!((before..=after).contains(&scanned_to));
        // What is logged from now on is younger, so a scan from there misses nothing.
        let row = deposit(&key(3, 7, "new"), "1");
        log.append(vec![row]).await.unwrap();
        let from_there = RelayScan {
            grace: Duration::ZERO,
            after: Some(RelayCursor {
                logged_at: page.scanned_to,
                log_id: axs_domain::id::LogId::new(uuid::Uuid::max()),
            }),
            ..scan([3], None, 10)
        };
        assert_eq!(
            names(&source.still_init(from_there).await.unwrap()),
            ["new"]
        );
    })
    .await;
}

#[tokio::test]
async fn of_rows_scanned_before_those_that_are_still_init_are_kept_in_their_order() {
    on_laid_out_database(async |test| {
        let source = PgRelaySource::new(test.database());
        for (name, age) in [("a", 500), ("b", 400), ("c", 300), ("d", 200)] {
            log_aged(&test, 3, name, age).await;
        }
        let page = source.still_init(scan([3], None, 10)).await.unwrap();
        test.execute(
            "UPDATE balance_change_states
                SET status = 2, reason_code = 1, partition = 0, record_offset = 1, decided_at = now()
              WHERE idempotency_key = 'b'",
        )
        .await;
        // The key of `c` began anew, under another id.
        test.execute(
            "UPDATE balance_change_states SET log_id = gen_random_uuid() WHERE idempotency_key = 'c'",
        )
        .await;
        let kept = source.keep_init(page.rows.clone()).await.unwrap();
        assert_eq!(kept, [page.rows[0].clone(), page.rows[3].clone()]);
        assert_eq!(source.keep_init(Vec::new()).await.unwrap(), []);
    })
    .await;
}
