-- $1 partition. Locks the leader row until the transaction ends; a rival's open transaction is
-- waited for, and what it committed is seen here and by every later statement.
SELECT fencing_token, owner, stored_offset
  FROM partition_leader_locks
 WHERE partition = $1
   FOR NO KEY UPDATE
