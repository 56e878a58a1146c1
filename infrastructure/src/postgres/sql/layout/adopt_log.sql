-- $1 partitions, $2 offsets: arrays of one length. What was noted of the old log is forgotten.
UPDATE partition_leader_locks leader
   SET stored_offset = start.stored_offset, results_offset = start.stored_offset,
       stored_record_digest = NULL, log_adopted_at = clock_timestamp()
  FROM unnest($1::integer[], $2::bigint[]) AS start (partition, stored_offset)
 WHERE leader.partition = start.partition
