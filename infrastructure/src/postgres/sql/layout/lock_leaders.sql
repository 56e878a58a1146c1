-- Waits, up to lock_timeout, for the open batch of every leader.
SELECT partition FROM partition_leader_locks ORDER BY partition FOR UPDATE
