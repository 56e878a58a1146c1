-- $1 shard, $2 account, $3 key, $4 log id, $5 reason code, $6 reason. Makes a parked row REJECTED,
-- at the position of its record. No row: it is not PARKED any more.
UPDATE balance_change_states
   SET status = 2, reason_code = $5, reason = $6, decided_at = now()
 WHERE shard_id = $1 AND account_id = $2 AND idempotency_key = $3 AND log_id = $4
   -- Tested on the row that the key found.
   AND CASE WHEN status = 3 THEN true ELSE false END
