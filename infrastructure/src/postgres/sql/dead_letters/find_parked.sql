-- The row of a parked event as it stands. $1 id.
SELECT p.log_id, p.shard_id, p.account_id, p.idempotency_key, s.status, s.logged_at
  FROM parked_events p
  JOIN balance_change_states s
    ON s.shard_id = p.shard_id
   AND s.account_id = p.account_id
   AND s.idempotency_key = p.idempotency_key
   AND s.log_id = p.log_id
 WHERE p.dead_letter_id = $1
