-- Fences every leader. $1 the epoch under which the partitions are led from now on.
UPDATE partition_leader_locks
   SET fencing_token = fencing_token + 1, owner = NULL, backend_pid = NULL, layout_epoch = $1
