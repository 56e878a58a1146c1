-- $1 partition, $2 candidate. Locks nothing: a lease that stands must never be waited for or held
-- up by those who would like to have it.
SELECT owner IS NULL OR owner = $2 OR expires_at <= clock_timestamp() AS free
  FROM partition_leases
 WHERE partition = $1
