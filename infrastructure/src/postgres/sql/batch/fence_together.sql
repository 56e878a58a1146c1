-- $1 partitions. Locks their leader rows until the transaction ends, in the order of the partitions; a row
-- that somebody holds is left out, and its batch is written apart, by fence.sql, which waits.
--
-- What is had was had at once, or had been committed before: what a rival committed is seen here and by
-- every later statement. The incarnation: see fence.sql.
SELECT partition, fencing_token, owner, stored_offset,
       -- Once, not for every row.
       (SELECT database_incarnation()) AS incarnation
  FROM partition_leader_locks
 WHERE partition = ANY ($1::integer[])
 ORDER BY partition
   FOR NO KEY UPDATE
       SKIP LOCKED
