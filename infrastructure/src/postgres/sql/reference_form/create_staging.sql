-- One for each partition, since TRUNCATE waits for everybody who has written to the table: with one for all,
-- two partitions that write at once would wait for each other.
CREATE UNLOGGED TABLE IF NOT EXISTS reference_staging (
    shard_id integer,
    account_id bigint,
    idempotency_key text COLLATE "C",
    log_id uuid,
    fingerprint bytea,
    record_offset bigint,
    change_index smallint,
    branch smallint,
    currency_code text COLLATE "C",
    available_delta numeric(36,18),
    frozen_delta numeric(36,18),
    available_after numeric(36,18),
    frozen_after numeric(36,18),
    version bigint
)
