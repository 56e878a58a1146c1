-- $1 shard, $2 account, $3 key, $4 log id. Makes a parked row INIT: as if it had never been seen on
-- the topic. No row: it is not PARKED any more.
UPDATE balance_change_states
   SET status = 0, partition = NULL, record_offset = NULL, decided_at = NULL,
       reason_code = NULL, reason = NULL
 WHERE shard_id = $1 AND account_id = $2 AND idempotency_key = $3 AND log_id = $4
   -- Tested on the row that the key found.
   AND CASE WHEN status = 3 THEN true ELSE false END
