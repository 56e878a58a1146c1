-- $1 partition, $2 token, $3 owner, $4 offset. Waits for the batch that holds the row, and holds it
-- for as long as a commit takes. No row: the claim is over, or as much was noted before.
UPDATE partition_leader_locks
   SET results_offset = $4
 WHERE partition = $1
   AND fencing_token = $2
   AND owner = $3
   AND results_offset < $4
   -- Of what is not committed no result can be out.
   AND stored_offset >= $4
