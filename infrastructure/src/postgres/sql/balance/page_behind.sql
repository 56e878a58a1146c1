-- Balances of a shard in the order of the key, which is the primary key's: at most so many.
--
-- $1 shard, $2 and $3 account and currency of the last one before (0 and '' for none: both are below all
-- there are), $4 at most this many.
SELECT account_id, currency_code, available::text AS available, frozen::text AS frozen, version
  FROM account_balances
 WHERE shard_id = $1
   AND (account_id, currency_code) > ($2, $3)
 ORDER BY account_id, currency_code
 LIMIT $4
