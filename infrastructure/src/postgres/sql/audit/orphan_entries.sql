-- Entries whose event is gone, as far as its payload still tells the event's key. $1 shard, $2 and $3
-- log id and change of the last entry of the page before, $4 and $5 those of the page's last.
--
-- The subqueries with LIMIT and OFFSET take the choice away from the planner: each entry of the page looks
-- up its payload and its state by their keys. As joins, every page sorted or hashed a whole table partition
-- of states, and on a busy shard verify never came to its end.
SELECT e.log_id, e.change_index,
       format('no change log row of account %s has this id', l.account_id) AS problem
  FROM (SELECT log_id, change_index
          FROM ledger_entries
         WHERE shard_id = $1
           AND (log_id, change_index) > ($2, $3) AND (log_id, change_index) <= ($4, $5)
         ORDER BY log_id, change_index
        OFFSET 0) e
 CROSS JOIN LATERAL (
        SELECT account_id, idempotency_key
          FROM balance_change_logs
         WHERE log_id = e.log_id
         LIMIT 1) l
 -- A key whose window ended may have begun another one since, under another log id.
 WHERE (SELECT s.log_id
          FROM balance_change_states s
         WHERE s.shard_id = $1 AND s.account_id = l.account_id
           AND s.idempotency_key = l.idempotency_key
         LIMIT 1) IS DISTINCT FROM e.log_id
 ORDER BY e.log_id, e.change_index
