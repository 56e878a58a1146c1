-- Many events. $1 log ids, $2 accounts, $3 keys, $4 deltas as text; one entry each.
-- Balances are locked in the order of accounts: two calls would deadlock otherwise.
WITH asked AS MATERIALIZED (
    SELECT log_id, account_id, idempotency_key, delta::numeric AS delta, place
      FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[])
           WITH ORDINALITY AS asked (log_id, account_id, idempotency_key, delta, place)
), logged AS (
    INSERT INTO baseline_logs (log_id, account_id, idempotency_key)
    SELECT log_id, account_id, idempotency_key FROM asked
     ORDER BY account_id, idempotency_key
    ON CONFLICT DO NOTHING
    RETURNING log_id
), fresh AS MATERIALIZED (
    SELECT asked.*,
           sum(delta) OVER earlier AS sum_so_far, count(*) OVER earlier AS count_so_far
      FROM asked JOIN logged USING (log_id)
    WINDOW earlier AS (PARTITION BY account_id ORDER BY place)
), locked AS MATERIALIZED (
    SELECT account_id, available, frozen, version FROM baseline_balances
     WHERE account_id = ANY ($2) AND currency_code = 'USDT'
     ORDER BY account_id FOR UPDATE
), moved AS (
    UPDATE baseline_balances balance
       SET available = balance.available + sums.delta, version = balance.version + sums.changes
      FROM (SELECT account_id, sum(delta) AS delta, count(*) AS changes
              FROM fresh GROUP BY account_id) sums
      JOIN locked USING (account_id)
     WHERE balance.account_id = sums.account_id AND balance.currency_code = 'USDT'
)
INSERT INTO baseline_entries
       (log_id, account_id, currency_code, available_delta, available_after, frozen_after, version)
SELECT fresh.log_id, fresh.account_id, 'USDT', fresh.delta, locked.available + fresh.sum_so_far,
       locked.frozen, locked.version + fresh.count_so_far
  FROM fresh JOIN locked USING (account_id)
