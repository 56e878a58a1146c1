-- $1 partition, $2 token, $3 owner. Commits by itself, before a partition's batch goes by another connection
-- than its last, so that a candidate can end this backend when it freezes. No row: fenced.
UPDATE partition_leader_locks
   SET backend_pid = pg_backend_pid()
 WHERE partition = $1 AND fencing_token = $2 AND owner = $3
