-- $1 partition, $2 owner, $3 token, $4 milliseconds. The time runs from here, not from before the
-- wait for the old leader.
UPDATE partition_leases
   SET owner = $2, fencing_token = $3,
       expires_at = clock_timestamp() + $4 * interval '1 millisecond'
 WHERE partition = $1
