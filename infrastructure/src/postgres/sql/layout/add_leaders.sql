-- $1 partitions, $2 their stored offsets: arrays of one length. $3 the epoch. Their mark is that which all
-- others have by now (carry_marks.sql).
INSERT INTO partition_leader_locks
       (partition, stored_offset, results_offset, layout_epoch, relay_epoch, relay_low_water)
SELECT partition, stored_offset, stored_offset, $3, $3,
       (SELECT min(relay_low_water) FROM partition_leader_locks)
  FROM unnest($1::integer[], $2::bigint[]) AS start (partition, stored_offset)
