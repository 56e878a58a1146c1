-- $1 partitions, $2 tokens, $3 owners: arrays of one length, a place for each batch. As record_backend.sql,
-- for several partitions, and without waiting: a row that somebody holds is left out, as one that is fenced
-- is. Gives the partitions that are on record now.
WITH free AS (
    SELECT l.partition
      FROM partition_leader_locks l
      JOIN unnest($1::integer[], $2::bigint[], $3::uuid[]) AS b (partition, fencing_token, owner)
        ON l.partition = b.partition
       AND l.fencing_token = b.fencing_token AND l.owner = b.owner
     ORDER BY l.partition
       FOR NO KEY UPDATE OF l
           SKIP LOCKED
)
UPDATE partition_leader_locks l
   SET backend_pid = pg_backend_pid()
  FROM free
 WHERE l.partition = free.partition
RETURNING l.partition
