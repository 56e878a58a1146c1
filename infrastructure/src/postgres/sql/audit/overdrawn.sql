-- Balances of a shard that were ever below zero, and how far below at the deepest. $1 shard, $2 how
-- many to name at most. Takes no locks.
SELECT account_id, currency_code, min(available_after)::text AS deepest
FROM ledger_entries
WHERE shard_id = $1 AND available_after < 0
GROUP BY account_id, currency_code
ORDER BY account_id, currency_code
LIMIT $2
