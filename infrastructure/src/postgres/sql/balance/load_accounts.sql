-- All balances of accounts, each with its account's place among those asked, in the order of the
-- currency codes, and the incarnation in every row: one row without a balance when there is none.
--
-- $1 shards, $2 accounts: arrays of one length. $3, $4 the lowest and highest shard asked.
--
-- One statement, so that the balances and the incarnation are of one snapshot: what is filled into the
-- cache from them stands under the history that it is of.
SELECT this.incarnation, balance.position, balance.currency_code, balance.available, balance.frozen,
       balance.version
       -- Once, not for every row.
  FROM (SELECT database_incarnation() AS incarnation OFFSET 0) AS this
  LEFT JOIN (
    SELECT asked.position, b.currency_code, b.available::text AS available, b.frozen::text AS frozen,
           b.version
      FROM unnest($1::integer[], $2::bigint[]) WITH ORDINALITY
           AS asked (shard_id, account_id, position)
     CROSS JOIN LATERAL (
        SELECT b.currency_code, b.available, b.frozen, b.version
          FROM account_balances b
         WHERE b.shard_id = asked.shard_id
           AND b.account_id = asked.account_id
           AND b.shard_id BETWEEN $3 AND $4
         ORDER BY b.currency_code
         -- Do not remove: the look-up by the primary key stays one.
         OFFSET 0
     ) AS b
  ) AS balance ON true
