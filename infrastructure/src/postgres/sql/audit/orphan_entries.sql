-- Entries whose event is gone, as far as its payload still tells the event's key. $1 shard, $2 and $3
-- log id and change of the last entry of the page before, $4 and $5 those of the page's last.
SELECT e.log_id, e.change_index,
       format('no change log row of account %s has this id', l.account_id) AS problem
  FROM ledger_entries e
  JOIN balance_change_logs l ON l.log_id = e.log_id
 WHERE e.shard_id = $1
   AND (e.log_id, e.change_index) > ($2, $3) AND (e.log_id, e.change_index) <= ($4, $5)
   AND NOT EXISTS (
        SELECT FROM balance_change_states s
         WHERE s.shard_id = e.shard_id AND s.account_id = l.account_id
           AND s.idempotency_key = l.idempotency_key AND s.log_id = e.log_id)
 ORDER BY e.log_id, e.change_index
