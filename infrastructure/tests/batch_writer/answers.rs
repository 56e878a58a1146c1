//! What the server's answers mean, by their code and by when they come.

use crate::fixture::{Consumer, Decider, log_row, on_partitions};
use crate::support::TestDatabase;
use crate::writing::everything;
use axs_application::port::batch_writer::WriteError;

/// The server answers with this code when the stored offset changes: at that statement, or, when
/// deferred, at COMMIT.
async fn answer_with(test: &TestDatabase, code: &str, deferred: &str) {
    test.execute(&format!(
        "CREATE OR REPLACE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = '{code}'; END $$;
         DROP TRIGGER IF EXISTS answer ON partition_leader_locks;
         CREATE CONSTRAINT TRIGGER answer AFTER UPDATE OF stored_offset ON partition_leader_locks
             {deferred} FOR EACH ROW EXECUTE FUNCTION answer()"
    ))
    .await;
}

#[tokio::test]
async fn an_answer_of_level_error_is_known_to_write_nothing_even_at_commit() {
    let rows = [
        ("40001", false),
        ("40P01", false),
        ("53200", false),
        ("55P03", false),
        ("57014", false),
        ("57P01", false),
        ("XX000", false),
        ("22003", true),
        ("23514", true),
    ];
    on_partitions(async move |test| {
        let consumer = Consumer::new(&test);
        let mut decider = Decider::new(0, consumer.lead(0).await);
        let log = log_row(&test, 1, "deposit").await;
        let batch = decider.batch().apply(&log, &[("USD", "5", "0")]).decided();
        let before = everything(&test).await;
        for deferred in ["", "DEFERRABLE INITIALLY DEFERRED"] {
            for (code, is_about_data) in rows {
                answer_with(&test, code, deferred).await;
                let refused = consumer.write(batch.clone()).await;
                let as_told = match &refused {
                    Err(WriteError::RefusedData { sqlstate, .. }) => {
                        is_about_data && sqlstate == code
                    }
                    Err(WriteError::Retryable(text)) => !is_about_data && text.contains(code),
                    _ => false,
                };
                assert!(as_told, "{code} {deferred}: {refused:?}");
                assert_eq!(everything(&test).await, before, "{code} {deferred}");
            }
        }
        test.execute("DROP TRIGGER answer ON partition_leader_locks")
            .await;
        consumer.write(batch).await.unwrap();
    })
    .await;
}
