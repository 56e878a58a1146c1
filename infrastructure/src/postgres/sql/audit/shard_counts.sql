-- How many balances and entries a shard holds. $1 shard.
SELECT (SELECT count(*) FROM account_balances WHERE shard_id = $1) AS balances,
       (SELECT count(*) FROM ledger_entries WHERE shard_id = $1) AS entries
