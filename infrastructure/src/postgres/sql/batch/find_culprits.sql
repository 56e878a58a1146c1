-- Which staged events are not what their log rows are, and how: 1 not INIT, 2 no log row, 3 other
-- content. Run under the fence, before anything is applied: what apply.sql wrote in the same
-- transaction would look final.
WITH compared AS (
    SELECT s.record_offset, s.shard_id, s.account_id, s.idempotency_key,
           CASE WHEN l.log_id IS NULL OR l.log_id <> s.log_id THEN 2
                WHEN l.fingerprint <> s.fingerprint OR l.logged_at <> s.logged_at THEN 3
                WHEN l.status <> 0 THEN 1
                ELSE 0
           END AS verdict
      FROM axs_staging s
      LEFT JOIN balance_change_states l
        ON l.shard_id = s.shard_id
       AND l.account_id = s.account_id
       AND l.idempotency_key = s.idempotency_key
     WHERE s.status IS NOT NULL
),
-- Of several sound copies of one event the first stays; the others are redeliveries.
judged AS (
    SELECT record_offset,
           CASE WHEN verdict = 0
                 AND row_number() OVER (
                        PARTITION BY shard_id, account_id, idempotency_key, verdict
                        ORDER BY record_offset) > 1
                THEN 1 ELSE verdict
           END AS verdict
      FROM compared
)
SELECT record_offset, verdict
  FROM judged
 WHERE verdict <> 0
 ORDER BY record_offset
