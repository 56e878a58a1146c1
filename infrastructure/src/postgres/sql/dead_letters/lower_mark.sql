-- $1 shard, $2 time of writing of a row that is INIT, or becomes so in this transaction. The relay
-- of the partition that carries the shard finds it from here on, whatever it had passed; the
-- generation keeps a scan that began before from moving the mark up again.
--
-- Without a mark there is none to lower: LEAST would take NULL for nothing and make one.
-- Locks: the leader row, before any other row, as a batch does. Must hit exactly one row.
UPDATE partition_leader_locks leader
   SET relay_low_water = CASE WHEN leader.relay_low_water IS NOT NULL
           THEN LEAST(leader.relay_low_water, $2::timestamptz - interval '1 microsecond') END,
       relay_generation = leader.relay_generation + 1
  FROM shards
 WHERE shards.shard_id = $1
   AND leader.partition = shards.partition
