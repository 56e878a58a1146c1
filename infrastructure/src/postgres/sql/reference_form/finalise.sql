-- $1 partition. The status is tested so that old statistics can't mislead the planner.
UPDATE balance_change_states l
   SET status = 1, partition = $1, record_offset = s.record_offset, decided_at = now()
  FROM reference_staging s
 WHERE s.change_index = 0
   AND l.shard_id = s.shard_id
   AND l.account_id = s.account_id
   AND l.idempotency_key = s.idempotency_key
   AND CASE WHEN l.status = 0 AND l.fingerprint = s.fingerprint THEN true ELSE false END
