-- The ledger entry that it left. $1 first account, $2 last account, $3 how many shards, $4 the moment of
-- the first, $5 the currency, $6 the amount.
INSERT INTO ledger_entries
       (log_id, account_id, version, record_offset, shard_id, partition, change_index, branch,
        currency_code, available_delta, frozen_delta, available_after, frozen_after)
SELECT bench_log_id(number, bench_moment(number, $1, $4)), number, 1, 0, shard_id, partition, 0, 0,
       $5, $6::numeric, 0, $6::numeric, 0
  FROM generate_series($1::bigint, $2::bigint) number
  JOIN shards ON shard_id = number % $3
