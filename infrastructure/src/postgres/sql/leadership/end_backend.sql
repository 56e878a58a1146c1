-- $1 partition, $2 milliseconds to wait for its end. Ends the recorded backend, if it is the one
-- whose open transaction holds the leader row (the row's xmax): pids are used again, and an
-- innocent one must not be ended. No row: nobody, or somebody else, holds it.
SELECT leader.backend_pid, pg_terminate_backend(leader.backend_pid, $2) AS ended
  FROM partition_leader_locks leader
  JOIN pg_locks held
    ON held.locktype = 'transactionid'
   AND held.transactionid = leader.xmax
   AND held.pid = leader.backend_pid
   AND held.granted
 WHERE leader.partition = $1
