-- What applied events left, in the order of their changes.
--
-- $1 shards, $2 log ids: arrays of one length. $3, $4 the lowest and highest shard asked.
SELECT asked.log_id, e.change_index, e.branch, e.currency_code, e.version,
       e.available_delta::text AS available_delta, e.frozen_delta::text AS frozen_delta,
       e.available_after::text AS available_after, e.frozen_after::text AS frozen_after
  FROM unnest($1::integer[], $2::uuid[]) AS asked (shard_id, log_id)
 CROSS JOIN LATERAL (
    SELECT *
      FROM ledger_entries e
     WHERE e.shard_id = asked.shard_id
       AND e.log_id = asked.log_id
       AND e.shard_id BETWEEN $3 AND $4
     ORDER BY e.change_index
     -- Do not remove: the look-up by the index stays one.
     OFFSET 0
 ) AS e
