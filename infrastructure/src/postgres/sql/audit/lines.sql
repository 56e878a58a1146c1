-- Entries of the accounts' events that are out of line. $1 shard, $2 and $3 first and last account,
-- $4 how many to name at most.
--
-- Entries are reached through their events, by the two primary keys: ledger_entries has no index on
-- the account. The window follows one balance from version to version. Places on the topic are
-- compared within one partition and one log only: a raised layout starts a new partition, an adopted
-- topic a new log.
WITH line AS (
    SELECT e.log_id, e.account_id, e.change_index, e.partition, e.record_offset, e.version,
           e.available_after, e.frozen_after, s.account_id AS account_of_event, s.status,
           s.partition AS partition_of_event, s.record_offset AS offset_of_event, s.decided_at,
           row_number() OVER balance AS place,
           sum(e.available_delta) OVER balance AS available_sum,
           sum(e.frozen_delta) OVER balance AS frozen_sum,
           lag(e.partition) OVER balance AS earlier_partition,
           lag(e.record_offset) OVER balance AS earlier_offset,
           lag(e.change_index) OVER balance AS earlier_index,
           lag(s.decided_at) OVER balance AS earlier_decided_at
      FROM balance_change_states s
      JOIN ledger_entries e ON e.shard_id = s.shard_id AND e.log_id = s.log_id
     WHERE s.shard_id = $1 AND s.account_id BETWEEN $2 AND $3
    -- ROWS, not the default RANGE: two entries of one version must not share a sum.
    WINDOW balance AS (PARTITION BY e.account_id, e.currency_code
                       ORDER BY e.version, e.record_offset, e.change_index
                       ROWS UNBOUNDED PRECEDING)
),
judged AS (
    SELECT line.log_id, line.change_index,
           CASE
               WHEN line.account_id <> line.account_of_event
                   THEN format('stands for account %s, its change log row is of account %s',
                               line.account_id, line.account_of_event)
               WHEN line.version <> line.place
                   THEN format('version %s stands at place %s', line.version, line.place)
               WHEN line.available_after <> line.available_sum
                    OR line.frozen_after <> line.frozen_sum
                   THEN format('the balance after is %s and %s, the deltas make %s and %s',
                               line.available_after, line.frozen_after,
                               line.available_sum, line.frozen_sum)
               WHEN line.frozen_after < 0
                   THEN format('leaves %s frozen', line.frozen_after)
               WHEN (line.partition, line.record_offset)
                    IS DISTINCT FROM (line.partition_of_event, line.offset_of_event)
                    AND line.status = 1
                   THEN format('stands at offset %s of partition %s, its change log row at %s of %s',
                               line.record_offset, line.partition, line.offset_of_event,
                               line.partition_of_event)
               WHEN line.earlier_partition = line.partition
                    AND (k.log_adopted_at IS NULL OR line.earlier_decided_at > k.log_adopted_at
                         OR line.decided_at <= k.log_adopted_at)
                    AND (line.record_offset, line.change_index)
                        <= (line.earlier_offset, line.earlier_index)
                   THEN format('stands at offset %s, after offset %s',
                               line.record_offset, line.earlier_offset)
               WHEN k.partition IS NULL
                   THEN format('stands on partition %s, which no leader row has', line.partition)
               WHEN line.record_offset >= k.stored_offset
                    AND (k.log_adopted_at IS NULL OR line.decided_at > k.log_adopted_at)
                   THEN format('stands at offset %s of partition %s, the stored offset is %s',
                               line.record_offset, line.partition, k.stored_offset)
           END AS problem
      FROM line
      LEFT JOIN partition_leader_locks k ON k.partition = line.partition
)
SELECT log_id, change_index, problem
  FROM judged
 WHERE problem IS NOT NULL
 ORDER BY log_id, change_index
 LIMIT $4
