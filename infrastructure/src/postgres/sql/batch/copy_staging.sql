-- The order of the columns is that of `staging.rs`.
COPY axs_staging (
    partition, shard_id, account_id, record_offset, log_id, idempotency_key, fingerprint, logged_at,
    status, reason_code, reason, change_index, branch, currency_code, version_read, version,
    available_delta, frozen_delta, available, frozen
) FROM STDIN (FORMAT binary)
