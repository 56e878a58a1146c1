-- $1 partition, $2 offset after, $3 digest of the last record below it. Gives the time of the transaction,
-- which is that of its decisions.
UPDATE partition_leader_locks
   SET stored_offset = $2, stored_record_digest = $3
 WHERE partition = $1
RETURNING now()
