-- $1 partition, $2 token, $3 owner, $4 offset before, $5 offset after, $6 digest of the last record
-- below it. Must hit exactly one row.
UPDATE partition_leader_locks
   SET stored_offset = $5, stored_record_digest = $6
 WHERE partition = $1 AND fencing_token = $2 AND owner = $3 AND stored_offset = $4
