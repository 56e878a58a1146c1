-- $1 partition. Locks the leader row until the transaction ends; a rival's open transaction is
-- waited for, and what it committed is seen here and by every later statement. The incarnation is the
-- one that stood when this statement began to wait: whoever renews it while a server runs fences the
-- leaders in the same transaction, and otherwise it changes only with the server, and this connection.
SELECT partition, fencing_token, owner, stored_offset, database_incarnation() AS incarnation
  FROM partition_leader_locks
 WHERE partition = $1
   FOR NO KEY UPDATE
