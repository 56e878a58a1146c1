-- A page of a shard's events in the order of their keys. $1 shard, $2 and $3 account and key of
-- the last event of the page before (0 and '' for the first), $4 how many. Walks the unique key.
--
-- The subselect is not pulled up: the joins must be made for the page, not for what comes after it.
WITH page AS MATERIALIZED (
    SELECT * FROM balance_change_states
     WHERE shard_id = $1 AND (account_id, idempotency_key) > ($2, $3)
     ORDER BY account_id, idempotency_key
     LIMIT $4
)
SELECT s.log_id, s.shard_id, s.account_id, s.idempotency_key, s.fingerprint, s.logged_at, s.status,
       s.reason_code, s.reason, s.partition, s.record_offset, s.decided_at,
       l.payload, a.shard_id AS home
  FROM page s
  -- The LIMITs keep the planner from joining whole tables with each page: see orphan_entries.sql.
  LEFT JOIN LATERAL (
        SELECT payload FROM balance_change_logs WHERE log_id = s.log_id LIMIT 1) l ON true
  LEFT JOIN LATERAL (
        SELECT shard_id FROM accounts WHERE account_id = s.account_id LIMIT 1) a ON true
 ORDER BY s.account_id, s.idempotency_key
