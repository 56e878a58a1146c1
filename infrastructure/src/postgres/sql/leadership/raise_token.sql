-- $1 partition, $2 owner. Waits, up to lock_timeout, for the open transaction of the old leader,
-- so that its last commit is seen. Once the row is had, the old backend has nothing left to end.
UPDATE partition_leader_locks
   SET fencing_token = fencing_token + 1, owner = $2, backend_pid = NULL
 WHERE partition = $1
RETURNING fencing_token, stored_offset, results_offset, stored_record_digest, layout_epoch,
          database_incarnation() AS incarnation
