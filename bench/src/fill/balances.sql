-- As funding leaves them. $1 first account, $2 last account, $3 how many shards, $4 the currency, $5 the
-- amount.
INSERT INTO account_balances (shard_id, account_id, currency_code, available, frozen, version)
SELECT number % $3, number, $4, $5::numeric, 0, 1
  FROM generate_series($1::bigint, $2::bigint) number
