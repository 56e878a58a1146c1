-- $1 partitions, $2 their stored offsets: arrays of one length. $3 the epoch.
INSERT INTO partition_leader_locks (partition, stored_offset, results_offset, layout_epoch)
SELECT partition, stored_offset, stored_offset, $3
  FROM unnest($1::integer[], $2::bigint[]) AS start (partition, stored_offset)
