-- $1 partitions, $2 tokens, $3 owners, $4 incarnations, $5 milliseconds. Gives the partitions renewed. A row
-- that is locked is being taken over by another, which happens only once its lease has ended: it is
-- skipped, so that one partition's change of leader never delays the heartbeat of the others.
--
-- A claim that was given in another history of the database is not renewed, although token and owner may
-- have come along: its leader's memory, and how far it has read and relayed, are of that history. A
-- partition without work would find out by nothing else.
WITH standing AS (
    SELECT lease.partition
      FROM unnest($1::integer[], $2::bigint[], $3::uuid[], $4::bigint[])
           AS claim (partition, token, owner, incarnation)
      JOIN partition_leases lease
        ON lease.partition = claim.partition
       AND lease.fencing_token = claim.token
       AND lease.owner = claim.owner
     WHERE claim.incarnation = (SELECT database_incarnation())
     ORDER BY lease.partition
       FOR UPDATE OF lease SKIP LOCKED
)
UPDATE partition_leases lease
   SET expires_at = clock_timestamp() + $5 * interval '1 millisecond'
  FROM standing
 WHERE lease.partition = standing.partition
RETURNING lease.partition
