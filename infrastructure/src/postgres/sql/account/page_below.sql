-- The accounts with the highest ids below one, from the highest down, and the incarnation in every row: one
-- row without an account when there is none.
--
-- $1 the id, NULL for all, $2 at most this many.
--
-- One statement, as find.sql, and for its reason.
SELECT this.incarnation, account.account_id, account.user_id, account.pool, account.shard_id
       -- Once, not for every row.
  FROM (SELECT database_incarnation() AS incarnation OFFSET 0) AS this
  LEFT JOIN (
    SELECT account_id, user_id, pool, shard_id
      FROM accounts
           -- One bound in both cases: `$1 IS NULL OR account_id < $1` is no index condition in a plan for all
           -- values.
     WHERE account_id <= coalesce($1 - 1, 9223372036854775807)
     ORDER BY account_id DESC
     LIMIT $2
  ) AS account ON true
 -- No ORDER BY here: each page would be sorted again. A nested loop keeps the order above; plan.rs holds it.
