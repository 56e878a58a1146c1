-- Balances of a shard in the order of the key, which is the primary key's: at most so many; and the
-- incarnation in every row: one row without a balance when there is none.
--
-- $1 shard, $2 and $3 account and currency of the last one before (0 and '' for none: both are below all
-- there are), $4 at most this many.
--
-- One statement, so that the balances and the incarnation are of one snapshot: a leader whose claim is of
-- another history must not decide on them.
SELECT this.incarnation, balance.account_id, balance.currency_code, balance.available, balance.frozen,
       balance.version
       -- Once, not for every row.
  FROM (SELECT database_incarnation() AS incarnation OFFSET 0) AS this
  LEFT JOIN (
    SELECT account_id, currency_code, available::text AS available, frozen::text AS frozen, version
      FROM account_balances
     WHERE shard_id = $1
       AND (account_id, currency_code) > ($2, $3)
     ORDER BY account_id, currency_code
     LIMIT $4
  ) AS balance ON true
 -- No ORDER BY here: each page would be sorted again. A nested loop keeps the order above; plan.rs holds it.
