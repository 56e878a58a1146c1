-- Balances of a shard that are not the fold of their entries, and how much was compared.
-- $1 shard, $2 how many differences to name at most. Takes no locks.
--
-- The version of a balance is the count of its entries, so the fold needs no order here;
-- broken_entries.sql looks at the order.
WITH folded AS (
    SELECT account_id, currency_code,
           sum(available_delta) AS available, sum(frozen_delta) AS frozen, count(*) AS version
    FROM ledger_entries
    WHERE shard_id = $1
    GROUP BY account_id, currency_code
),
stored AS (
    SELECT account_id, currency_code, available, frozen, version
    FROM account_balances
    WHERE shard_id = $1
),
compared AS (
    SELECT account_id, currency_code,
           s.available AS stored_available, s.frozen AS stored_frozen, s.version AS stored_version,
           f.available AS folded_available, f.frozen AS folded_frozen, f.version AS folded_version
    FROM stored s FULL JOIN folded f USING (account_id, currency_code)
)
SELECT account_id, currency_code,
       stored_available::text, stored_frozen::text, stored_version,
       folded_available::text, folded_frozen::text, folded_version
FROM compared
WHERE (stored_available, stored_frozen, stored_version)
      IS DISTINCT FROM (folded_available, folded_frozen, folded_version)
ORDER BY account_id, currency_code
LIMIT $2
