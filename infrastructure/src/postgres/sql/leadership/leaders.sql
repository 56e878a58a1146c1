SELECT leader.partition,
       CASE WHEN lease.expires_at > clock_timestamp() THEN lease.owner END AS held_by,
       leader.stored_offset
  FROM partition_leader_locks leader
  JOIN partition_leases lease USING (partition)
 ORDER BY leader.partition
