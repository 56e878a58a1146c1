-- One entry of either kind. $1 id.
SELECT dead_letter_id, 0::smallint AS kind, state, partition, record_offset, log_id,
       NULL::bigint AS account_id, record_key, reason, message, created_at AS at, 1 AS times,
       payload, NULL::integer AS shard_id, NULL::text AS idempotency_key
  FROM dead_letters
 WHERE dead_letter_id = $1
 UNION ALL
SELECT dead_letter_id, 1::smallint, state, partition, record_offset, log_id,
       account_id, NULL::bytea, 'PARKED', message, parked_at, times,
       NULL::bytea, shard_id, idempotency_key
  FROM parked_events
 WHERE dead_letter_id = $1
