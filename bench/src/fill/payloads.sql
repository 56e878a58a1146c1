-- Its payload. $1 first account, $2 last account, $3 how many shards, $4 the moment of the first, $5 the
-- payload of all.
INSERT INTO balance_change_logs (log_id, account_id, shard_id, idempotency_key, payload)
SELECT bench_log_id(number, bench_moment(number, $1, $4)), number, number % $3, bench_key(number), $5
  FROM generate_series($1::bigint, $2::bigint) number
