-- A page of payloads by log id, and whether each has its state: both halves of a change log row are
-- inserted by one statement. $1 the last log id of the page before, $2 how many.
WITH page AS MATERIALIZED (
    SELECT log_id, shard_id, account_id, idempotency_key FROM balance_change_logs
     WHERE log_id > $1
     ORDER BY log_id
     LIMIT $2
)
SELECT page.log_id, s.log_id IS NOT NULL AS has_state
  FROM page
  LEFT JOIN balance_change_states s
    ON s.shard_id = page.shard_id AND s.account_id = page.account_id
   AND s.idempotency_key = page.idempotency_key AND s.log_id = page.log_id
 ORDER BY page.log_id
