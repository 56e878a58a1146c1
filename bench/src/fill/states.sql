-- The state of the event that funded each account. $1 first account, $2 last account, $3 how many shards,
-- $4 the moment of the first, $5 the fingerprint of all.
INSERT INTO balance_change_states
       (log_id, account_id, logged_at, record_offset, decided_at, shard_id, partition, status,
        fingerprint, idempotency_key)
SELECT bench_log_id(number, bench_moment(number, $1, $4)), number, bench_moment(number, $1, $4), 0,
       bench_moment(number, $1, $4), shard_id, partition, 1, $5, bench_key(number)
  FROM generate_series($1::bigint, $2::bigint) number
  JOIN shards ON shard_id = number % $3
