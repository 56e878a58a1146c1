-- A page of a shard's events in the order of their keys. $1 shard, $2 and $3 account and key of
-- the last event of the page before (0 and '' for the first), $4 how many. Walks the unique key.
SELECT s.log_id, s.shard_id, s.account_id, s.idempotency_key, s.fingerprint, s.logged_at, s.status,
       s.reason_code, s.reason, s.partition, s.record_offset, s.decided_at,
       coalesce(l.payload, ''::bytea) AS payload
FROM balance_change_states s
LEFT JOIN balance_change_logs l ON l.log_id = s.log_id
WHERE s.shard_id = $1 AND (s.account_id, s.idempotency_key) > ($2, $3)
ORDER BY s.account_id, s.idempotency_key
LIMIT $4
