-- Rows still INIT, oldest first.
--
-- $1 shards, $2, $3 only rows after this time and log id (the cursor; NULL for all), $4 no row
-- written after this time, $5 at most this many.
--
-- BRIN on logged_at finds the page ranges between $2 and $4 for almost nothing. There is no index
-- on status on purpose: it would make every finalising update dearer than this scan.
SELECT log_id, account_id, logged_at, record_offset, decided_at, shard_id, partition, status,
       reason_code, fingerprint, idempotency_key, reason
  FROM balance_change_states
 WHERE shard_id = ANY ($1::integer[])
   AND status = 0
   AND logged_at <= $4
   -- The first line is for BRIN, which can't use the second. Planned with the values, so that both
   -- vanish without a cursor.
   AND ($2::timestamptz IS NULL OR logged_at >= $2)
   AND ($2 IS NULL OR (logged_at, log_id) > ($2, $3::uuid))
 ORDER BY logged_at, log_id
 LIMIT $5
