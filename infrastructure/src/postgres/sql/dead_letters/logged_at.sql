-- When a row was written. $1 shard, $2 account, $3 key.
SELECT logged_at
  FROM balance_change_states
 WHERE shard_id = $1 AND account_id = $2 AND idempotency_key = $3
