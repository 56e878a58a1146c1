-- Balances by key, each with its place among the keys asked; keys without a row are left out. And the
-- incarnation in every row: one row without a balance when there is none.
--
-- $1 shards, $2 accounts, $3 currencies: arrays of one length. $4, $5 the lowest and highest shard
-- asked: table partitions beside them aren't even planned for.
--
-- One statement, so that the balances and the incarnation are of one snapshot: a leader whose claim is of
-- another history must not decide on them.
SELECT this.incarnation, balance.position, balance.available, balance.frozen, balance.version
       -- Once, not for every row.
  FROM (SELECT database_incarnation() AS incarnation OFFSET 0) AS this
  LEFT JOIN (
    SELECT asked.position, b.available::text AS available, b.frozen::text AS frozen, b.version
      FROM unnest($1::integer[], $2::bigint[], $3::text[]) WITH ORDINALITY
           AS asked (shard_id, account_id, currency_code, position)
     CROSS JOIN LATERAL (
        SELECT b.available, b.frozen, b.version
          FROM account_balances b
         WHERE b.shard_id = asked.shard_id
           AND b.account_id = asked.account_id
           AND b.currency_code = asked.currency_code
           AND b.shard_id BETWEEN $4 AND $5
         -- Do not remove: it keeps the planner from turning the look-up by the primary key into a hash
         -- join over whole table partitions.
         LIMIT 1
     ) AS b
  ) AS balance ON true
