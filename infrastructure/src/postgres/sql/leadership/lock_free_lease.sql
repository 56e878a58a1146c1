-- $1 partition, $2 candidate. Locks the lease if it is still free; of several candidates one goes
-- on and the others, which skip what is locked, find it held.
SELECT partition
  FROM partition_leases
 WHERE partition = $1
   AND (owner IS NULL OR owner = $2 OR expires_at <= clock_timestamp())
   FOR UPDATE SKIP LOCKED
