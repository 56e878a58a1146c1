-- $1 partition. Waits, up to lock_timeout, for the transaction that holds the row: every batch
-- locks it before it writes, so once it is had, no earlier batch is open.
SELECT fencing_token, owner, stored_offset, database_incarnation() AS incarnation
  FROM partition_leader_locks
 WHERE partition = $1
   FOR UPDATE
