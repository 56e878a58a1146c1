-- A page of payloads by log id, and whether each has its state: both halves of a change log row are
-- inserted by one statement. $1 the last log id of the page before, $2 how many.
WITH page AS MATERIALIZED (
    SELECT log_id, shard_id, account_id, idempotency_key FROM balance_change_logs
     WHERE log_id > $1
     ORDER BY log_id
     LIMIT $2
)
-- The LIMIT keeps the planner from joining the whole table with each page: see orphan_entries.sql.
SELECT page.log_id,
       (SELECT s.log_id
          FROM balance_change_states s
         WHERE s.shard_id = page.shard_id AND s.account_id = page.account_id
           AND s.idempotency_key = page.idempotency_key
         LIMIT 1) IS NOT DISTINCT FROM page.log_id AS has_state
  FROM page
 ORDER BY page.log_id
