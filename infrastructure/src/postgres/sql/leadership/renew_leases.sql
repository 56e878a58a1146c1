-- $1 partitions, $2 tokens, $3 owners, $4 milliseconds. Gives the partitions renewed. A row that
-- is locked is being taken over by another, which happens only once its lease has ended: it is
-- skipped, so that one partition's change of leader never delays the heartbeat of the others.
WITH standing AS (
    SELECT lease.partition
      FROM unnest($1::integer[], $2::bigint[], $3::uuid[]) AS claim (partition, token, owner)
      JOIN partition_leases lease
        ON lease.partition = claim.partition
       AND lease.fencing_token = claim.token
       AND lease.owner = claim.owner
     ORDER BY lease.partition
       FOR UPDATE OF lease SKIP LOCKED
)
UPDATE partition_leases lease
   SET expires_at = clock_timestamp() + $4 * interval '1 millisecond'
  FROM standing
 WHERE lease.partition = standing.partition
RETURNING lease.partition
