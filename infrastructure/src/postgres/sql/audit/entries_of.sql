-- Every entry of these events, also of those that should have none, in the order of the changes.
-- $1 shard, $2 log ids.
SELECT log_id, change_index, branch, currency_code, version,
       available_delta::text AS available_delta, frozen_delta::text AS frozen_delta,
       available_after::text AS available_after, frozen_after::text AS frozen_after
  FROM ledger_entries
 WHERE shard_id = $1 AND log_id = ANY ($2::uuid[])
 ORDER BY log_id, change_index
