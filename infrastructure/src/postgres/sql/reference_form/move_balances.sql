-- Deltas are summed first: UPDATE … FROM would take one row of several for a balance.
UPDATE account_balances b
   SET available = b.available + s.available,
       frozen = b.frozen + s.frozen,
       version = b.version + s.changes
  FROM (SELECT shard_id, account_id, currency_code, sum(available_delta) AS available,
               sum(frozen_delta) AS frozen, count(*) AS changes
          FROM reference_staging
         GROUP BY shard_id, account_id, currency_code) s
 WHERE b.shard_id = s.shard_id
   AND b.account_id = s.account_id
   AND b.currency_code = s.currency_code
