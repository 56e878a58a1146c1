-- Rows still INIT, oldest first.
--
-- $1 shards, $2 only rows written after this time (the mark; NULL for all), $3 no row written after
-- this time, $4 at most this many, $5 and $6 time and id of the last row of the page before (NULL for
-- the first page).
--
-- BRIN on logged_at finds the page ranges between $2 and $3 for almost nothing. There is no index
-- on status on purpose: it would make every finalising update dearer than this scan.
SELECT log_id, account_id, logged_at, record_offset, decided_at, shard_id, partition, status,
       reason_code, fingerprint, idempotency_key, reason
  FROM balance_change_states
 WHERE shard_id = ANY ($1::integer[])
   AND status = 0
   AND logged_at <= $3
   -- Planned with the values, so that it vanishes without a mark.
   AND ($2::timestamptz IS NULL OR logged_at > $2)
   -- The first half is what BRIN understands.
   AND ($5::timestamptz IS NULL
        OR (logged_at >= $5 AND (logged_at, log_id) > ($5, $6::uuid)))
 -- The order in which they are published again.
 ORDER BY logged_at, log_id
 LIMIT $4
