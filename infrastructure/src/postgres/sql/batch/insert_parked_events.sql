-- $1 partition, $2 time of the decision, then one array for each column. One row for each event.
--
-- An event that was redriven and is parked again is open again under its old id.
INSERT INTO parked_events
       (partition, parked_at, log_id, shard_id, account_id, idempotency_key, record_offset, message)
SELECT $1, $2, parked.*
  FROM unnest($3::uuid[], $4::integer[], $5::bigint[], $6::text[], $7::bigint[], $8::text[])
       AS parked
ON CONFLICT (log_id) DO UPDATE
   SET partition = EXCLUDED.partition,
       record_offset = EXCLUDED.record_offset,
       parked_at = EXCLUDED.parked_at,
       message = EXCLUDED.message,
       times = parked_events.times + 1,
       state = 0
