-- Entries of a shard that are out of line. $1 shard, $2 how many to name at most. Takes no locks.
--
-- The window follows one balance from version to version: each entry must make the next version,
-- its balance after must be the running sum, and its place on the topic must lie after that of
-- the entry before it (within one partition: a raised layout starts a new one).
WITH line AS (
    SELECT log_id, account_id, change_index, partition, record_offset, version,
           available_after, frozen_after,
           row_number() OVER balance AS place,
           sum(available_delta) OVER balance AS available_sum,
           sum(frozen_delta) OVER balance AS frozen_sum,
           lag(partition) OVER balance AS earlier_partition,
           lag(record_offset) OVER balance AS earlier_offset,
           lag(change_index) OVER balance AS earlier_index,
           lag(log_id) OVER balance AS earlier_log_id
    FROM ledger_entries
    WHERE shard_id = $1
    -- ROWS, not the default RANGE: two entries of one version must not share a sum.
    WINDOW balance AS (PARTITION BY account_id, currency_code
                       ORDER BY version, record_offset, change_index ROWS UNBOUNDED PRECEDING)
),
judged AS (
    SELECT line.log_id, line.change_index,
           CASE
               WHEN line.version <> line.place
                   THEN format('version %s stands at place %s', line.version, line.place)
               WHEN line.available_after <> line.available_sum
                    OR line.frozen_after <> line.frozen_sum
                   THEN format('the balance after is %s and %s, the deltas make %s and %s',
                               line.available_after, line.frozen_after,
                               line.available_sum, line.frozen_sum)
               WHEN line.earlier_partition = line.partition
                    AND (line.record_offset, line.change_index)
                        <= (line.earlier_offset, line.earlier_index)
                    -- Offsets of two logs are not compared.
                    AND (k.log_adopted_at IS NULL
                         OR (s.decided_at > k.log_adopted_at) = (e.decided_at > k.log_adopted_at))
                   THEN format('stands at offset %s, after offset %s',
                               line.record_offset, line.earlier_offset)
               WHEN k.stored_offset IS NULL
                    OR (line.record_offset >= k.stored_offset
                        AND (k.log_adopted_at IS NULL OR s.decided_at > k.log_adopted_at))
                   THEN format('stands at offset %s of partition %s, the stored offset is %s',
                               line.record_offset, line.partition, k.stored_offset)
               WHEN s.log_id IS NULL
                   THEN 'no applied change log row has this id'
               WHEN s.account_id <> line.account_id
                   THEN format('stands for account %s, its change log row is of account %s',
                               line.account_id, s.account_id)
               WHEN (s.partition, s.record_offset) <> (line.partition, line.record_offset)
                   THEN format('stands at offset %s of partition %s, its change log row at %s of %s',
                               line.record_offset, line.partition, s.record_offset, s.partition)
           END AS problem
    FROM line
    LEFT JOIN partition_leader_locks k ON k.partition = line.partition
    LEFT JOIN (SELECT log_id, account_id, partition, record_offset, decided_at
               FROM balance_change_states WHERE shard_id = $1 AND status = 1) s
        ON s.log_id = line.log_id
    LEFT JOIN (SELECT log_id, decided_at
               FROM balance_change_states WHERE shard_id = $1 AND status = 1) e
        ON e.log_id = line.earlier_log_id
)
SELECT log_id, change_index, problem
FROM judged
WHERE problem IS NOT NULL
ORDER BY log_id, change_index
LIMIT $2
