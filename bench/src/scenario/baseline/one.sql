-- One event. $1 log id, $2 account, $3 key, $4 delta of the available amount as text.
-- A known key changes nothing; a balance that would be negative fails by its CHECK.
WITH logged AS (
    INSERT INTO baseline_logs (log_id, account_id, idempotency_key)
    VALUES ($1, $2, $3) ON CONFLICT DO NOTHING
    RETURNING account_id
), moved AS (
    UPDATE baseline_balances balance
       SET available = balance.available + $4::text::numeric, version = balance.version + 1
      FROM logged
     WHERE balance.account_id = logged.account_id AND balance.currency_code = 'USDT'
    RETURNING balance.account_id, balance.available, balance.frozen, balance.version
)
INSERT INTO baseline_entries
       (log_id, account_id, currency_code, available_delta, available_after, frozen_after, version)
SELECT $1, account_id, 'USDT', $4::text::numeric, available, frozen, version FROM moved
