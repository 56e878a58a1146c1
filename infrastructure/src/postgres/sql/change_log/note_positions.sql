-- Notes where events landed, on rows that are still INIT.
--
-- $1 shards, $2 accounts, $3 keys, $4 partitions, $5 offsets: arrays of one length, in the order of
-- the key, no key twice.
--
-- Each row's table partition is found while running. Do not name the range of the shards here: on a
-- table without statistics the planner then expects next to no row in it, reads them all, and
-- compares each with each (20,000 rows, 1,000 positions: 890 ms against 7).
--
-- Locks: the rows, in the order of the key, which is the order of the finalising statement too.
-- No index holds what changes: the row stays on its page (HOT).
UPDATE balance_change_states l
   SET partition = p.partition, record_offset = p.record_offset
  FROM unnest($1::integer[], $2::bigint[], $3::text[], $4::integer[], $5::bigint[])
       AS p (shard_id, account_id, idempotency_key, partition, record_offset)
 WHERE l.shard_id = p.shard_id
   AND l.account_id = p.account_id
   AND l.idempotency_key = p.idempotency_key
   -- Tested on the row that the key found. Inside CASE the planner can't believe, by old
   -- statistics, that no row is INIT.
   AND CASE WHEN l.status = 0 THEN true ELSE false END
