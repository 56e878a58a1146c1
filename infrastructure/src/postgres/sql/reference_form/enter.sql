-- $1 partition.
INSERT INTO ledger_entries
       (shard_id, log_id, change_index, account_id, currency_code, branch, available_delta,
        frozen_delta, available_after, frozen_after, version, partition, record_offset)
SELECT shard_id, log_id, change_index, account_id, currency_code, branch, available_delta,
       frozen_delta, available_after, frozen_after, version, $1, record_offset
  FROM reference_staging
