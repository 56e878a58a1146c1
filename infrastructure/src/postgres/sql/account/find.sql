-- The accounts with these ids, in no order.
--
-- $1 ids.
SELECT account_id, user_id, pool, shard_id
  FROM accounts
 WHERE account_id = ANY ($1::bigint[])
