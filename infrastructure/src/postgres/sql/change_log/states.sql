-- The states with these keys, each with its place among the keys asked; keys without one are left
-- out.
--
-- $1 shards, $2 accounts, $3 keys: arrays of one length. $4, $5 the lowest and highest shard asked:
-- table partitions beside them aren't even planned for.
SELECT asked.position, s.log_id, s.account_id, s.logged_at, s.record_offset, s.decided_at, s.shard_id,
       s.partition, s.status, s.reason_code, s.fingerprint, s.idempotency_key, s.reason
  FROM unnest($1::integer[], $2::bigint[], $3::text[]) WITH ORDINALITY
       AS asked (shard_id, account_id, idempotency_key, position)
 CROSS JOIN LATERAL (
    SELECT *
      FROM balance_change_states s
     WHERE s.shard_id = asked.shard_id
       AND s.account_id = asked.account_id
       AND s.idempotency_key = asked.idempotency_key
       AND s.shard_id BETWEEN $4 AND $5
     -- Do not remove: it keeps the planner from turning the look-up by the key's index into a hash
     -- join over whole table partitions.
     LIMIT 1
 ) AS s
