-- Both rows of every partition that has one of them.
SELECT partition, k.fencing_token, k.owner, k.stored_offset, k.results_offset, k.log_adopted_at,
       l.fencing_token AS lease_token, l.owner AS lease_owner
  FROM partition_leader_locks k
  FULL JOIN partition_leases l USING (partition)
 ORDER BY partition
