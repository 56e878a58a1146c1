-- The accounts with these ids, in no order, and the incarnation in every row: one row without an account
-- when there is none.
--
-- $1 ids.
--
-- One statement, so that the accounts and the incarnation are of one snapshot: what is logged for them is
-- refused in another history (admit_log).
SELECT this.incarnation, account.account_id, account.user_id, account.pool, account.shard_id
       -- Once, not for every row.
  FROM (SELECT database_incarnation() AS incarnation OFFSET 0) AS this
  LEFT JOIN (
    SELECT account_id, user_id, pool, shard_id
      FROM accounts
     WHERE account_id = ANY ($1::bigint[])
  ) AS account ON true
