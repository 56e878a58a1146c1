-- What the tables say against each other, one sentence a row. $1 how many of each kind to name at
-- most. Reads the tables whole; takes no locks.
(
    -- A batch finalises its rows and moves the offset in one commit, so a snapshot never shows
    -- this of a sound database.
    SELECT format('event %s: INIT although the stored offset lies past it', s.log_id)
    FROM balance_change_states s
    JOIN partition_leader_locks k ON k.partition = s.partition
    WHERE s.status = 0 AND s.record_offset < k.stored_offset
      -- A position noted before another log was adopted says nothing of this one.
      AND (k.log_adopted_at IS NULL OR s.logged_at > k.log_adopted_at)
    LIMIT $1
)
UNION ALL
(
    -- Both halves of a change log row are inserted by one statement.
    SELECT format('event %s: its payload is logged, its state is gone', l.log_id)
    FROM balance_change_logs l
    WHERE NOT EXISTS (
        SELECT FROM balance_change_states s
        WHERE s.shard_id = l.shard_id AND s.account_id = l.account_id
          AND s.idempotency_key = l.idempotency_key AND s.log_id = l.log_id)
    LIMIT $1
)
UNION ALL
(
    SELECT format('account %s: lives on shard %s, has balances on shard %s',
                  b.account_id, a.shard_id, b.shard_id)
    FROM (SELECT DISTINCT shard_id, account_id FROM account_balances) b
    LEFT JOIN accounts a USING (account_id)
    WHERE a.shard_id IS DISTINCT FROM b.shard_id
    LIMIT $1
)
UNION ALL
(
    SELECT format('account %s: lives on shard %s, has events on shard %s',
                  s.account_id, a.shard_id, s.shard_id)
    FROM (SELECT DISTINCT shard_id, account_id FROM balance_change_states) s
    LEFT JOIN accounts a USING (account_id)
    WHERE a.shard_id IS DISTINCT FROM s.shard_id
    LIMIT $1
)
