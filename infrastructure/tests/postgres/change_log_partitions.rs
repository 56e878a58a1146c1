//! The change log's daily partitions.

use crate::event::{deposit, deposit_with_id, key};
use crate::laid_out::{on_laid_out_database, placing};
use axs_application::port::change_log::ChangeLog;
use axs_application::port::change_log_partitions::ChangeLogPartitions;
use axs_domain::id::LogId;
use axs_infrastructure::postgres::change_log::PgChangeLog;
use axs_infrastructure::postgres::change_log_partitions::PgChangeLogPartitions;

#[tokio::test]
async fn days_are_made_once_however_often_and_from_wherever_they_are_asked_for() {
    on_laid_out_database(async |test| {
        let here = PgChangeLogPartitions::new(test.database());
        let there = PgChangeLogPartitions::new(test.elsewhere().database());
        assert_eq!(
            here.ensure_ahead(14).await.unwrap(),
            0,
            "made by the migration"
        );
        let (first, second) = tokio::join!(here.ensure_ahead(40), there.ensure_ahead(40));
        assert_eq!(first.unwrap() + second.unwrap(), 26);
        assert_eq!(here.ensure_ahead(40).await.unwrap(), 0);
        assert_eq!(here.ensure_ahead(0).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_row_of_today_lies_in_the_partition_of_today() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        log.append(
            vec![deposit(&key(3, 7, "today"), "1")],
            placing(&test).await,
        )
        .await
        .unwrap();
        let rows = test
            .number(
                "SELECT count(*) FROM balance_change_logs
                  WHERE tableoid = format('balance_change_logs_%s',
                        to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'))::regclass",
            )
            .await;
        assert_eq!(rows, 1);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_came_before_its_day_moves_into_the_day_when_it_is_made() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let days = PgChangeLogPartitions::new(test.database());
        // By a clock that runs 20 days ahead; the days are made 14 days ahead.
        let millis = test
            .number("SELECT (extract(epoch FROM now() + interval '20 days') * 1000)::bigint")
            .await;
        let early = LogId::new(uuid::Uuid::new_v7(uuid::Timestamp::from_unix(
            uuid::NoContext,
            u64::try_from(millis).unwrap() / 1_000,
            0,
        )));
        let row = deposit_with_id(early, &key(3, 7, "early"), "1");
        log.append(vec![row.clone()], placing(&test).await)
            .await
            .unwrap();
        let in_default = "SELECT count(*) FROM balance_change_logs_default";
        assert_eq!(test.number(in_default).await, 1);
        assert_eq!(days.ensure_ahead(30).await.unwrap(), 16);
        assert_eq!(test.number(in_default).await, 0);
        let found = log.find_by_log_id(early).await.unwrap().unwrap();
        assert_eq!(found.payload, row.payload);
    })
    .await;
}

#[tokio::test]
async fn making_days_does_not_wait_for_a_transaction_that_is_logging() {
    on_laid_out_database(async |test| {
        let days = PgChangeLogPartitions::new(test.database());
        let mut logging = test.database().queries().begin().await.unwrap();
        sqlx::query(
            "INSERT INTO balance_change_logs (log_id, account_id, shard_id, idempotency_key, payload)
             VALUES (uuid_v7_floor(now()), 7, 3, 'open', '')",
        )
        .execute(&mut *logging)
        .await
        .unwrap();
        assert_eq!(days.ensure_ahead(16).await.unwrap(), 2);
        logging.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_day_of_payloads_is_retired_by_dropping_it_and_its_rows_are_still_known() {
    on_laid_out_database(async |test| {
        let log = PgChangeLog::new(test.database());
        let row = deposit(&key(3, 7, "old"), "1");
        log.append(vec![row.clone()], placing(&test).await)
            .await
            .unwrap();
        test.execute(
            "DO $$ BEGIN EXECUTE format('DROP TABLE balance_change_logs_%s',
                 to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')); END $$",
        )
        .await;
        let found = log.find_by_key(row.key.clone()).await.unwrap().unwrap();
        assert!(found.payload.is_empty());
        assert_eq!(found.fingerprint, row.fingerprint);
    })
    .await;
}
