-- $1 first account, $2 last account, $3 how many shards.
INSERT INTO accounts (account_id, user_id, pool, shard_id)
SELECT number, number, 'retail', number % $3
  FROM generate_series($1::bigint, $2::bigint) number
