-- A page of a shard's balances in the order of their keys. $1 shard, $2 and $3 account and currency
-- of the last balance of the page before ('' before an account's first), $4 the last account, $5 how
-- many. Walks the primary key.
WITH page AS MATERIALIZED (
    SELECT * FROM account_balances
     WHERE shard_id = $1 AND (account_id, currency_code) > ($2, $3) AND account_id <= $4
     ORDER BY account_id, currency_code
     LIMIT $5
)
SELECT b.account_id, b.currency_code, b.available::text AS available, b.frozen::text AS frozen,
       b.version, a.shard_id AS home
  FROM page b
  LEFT JOIN accounts a ON a.account_id = b.account_id
 ORDER BY b.account_id, b.currency_code
