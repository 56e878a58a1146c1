-- Those of these rows that are still INIT: their places among the rows asked.
--
-- $1 shards, $2 accounts, $3 keys, $4 log ids: arrays of one length. $5, $6 the lowest and highest
-- shard asked.
SELECT asked.position
  FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::uuid[]) WITH ORDINALITY
       AS asked (shard_id, account_id, idempotency_key, log_id, position)
 CROSS JOIN LATERAL (
    SELECT s.log_id, s.status
      FROM balance_change_states s
     WHERE s.shard_id = asked.shard_id
       AND s.account_id = asked.account_id
       AND s.idempotency_key = asked.idempotency_key
       AND s.shard_id BETWEEN $5 AND $6
     -- Do not remove: the look-up by the key's index stays one.
     LIMIT 1
 ) AS s
 WHERE s.status = 0
   AND s.log_id = asked.log_id
 ORDER BY asked.position
