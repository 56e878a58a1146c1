-- The core of AXS. Forward only: a later change is a later file.
--
-- Money is NUMERIC(36,18). Times are PostgreSQL's own (clock_timestamp or transaction start, as
-- each statement says). `partition` is always a Kafka partition; a part of a table is called a
-- table partition.

CREATE TABLE accounts (
    account_id bigint PRIMARY KEY CHECK (account_id >= 1),
    user_id bigint NOT NULL CHECK (user_id >= 1),
    pool text NOT NULL,
    shard_id integer NOT NULL CHECK (shard_id >= 0),
    opened_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE currencies (
    code text PRIMARY KEY,
    decimals smallint NOT NULL CHECK (decimals BETWEEN 0 AND 18),
    active boolean NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now()
);

-- The layout: one row, raised as a whole. Producers use this map and nothing else.
CREATE TABLE layout (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch integer NOT NULL CHECK (epoch >= 1),
    partition_count integer NOT NULL CHECK (partition_count >= 1),
    events_topic text NOT NULL,
    cluster_id text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE shards (
    shard_id integer PRIMARY KEY CHECK (shard_id >= 0),
    pool text NOT NULL,
    partition integer NOT NULL CHECK (partition >= 0)
);

-- Live consumers: who may be given partitions.
CREATE TABLE consumers (
    owner uuid PRIMARY KEY,
    live_until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The fence: who may write, and how far the partition is written. Locked by every batch.
CREATE TABLE partition_leader_locks (
    partition integer PRIMARY KEY,
    fencing_token bigint NOT NULL DEFAULT 0,
    owner uuid,
    stored_offset bigint NOT NULL DEFAULT 0,
    -- Up to here results and cache writes are known to be out.
    results_offset bigint NOT NULL DEFAULT 0,
    -- The backend that writes for the owner: a candidate past the lease ends it when it holds
    -- this row and does not move.
    backend_pid integer
) WITH (fillfactor = 30);

-- The lease, in rows of its own, so that a heartbeat never waits behind a batch.
CREATE TABLE partition_leases (
    partition integer PRIMARY KEY,
    fencing_token bigint NOT NULL DEFAULT 0,
    owner uuid,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 30);

-- What every account owns. The version counts the changes that made the balance: it starts at 1
-- and has no gaps. No CHECK on available: a rule may grant credit.
CREATE TABLE account_balances (
    shard_id integer NOT NULL,
    account_id bigint NOT NULL,
    currency_code text NOT NULL,
    available numeric(36,18) NOT NULL,
    frozen numeric(36,18) NOT NULL CHECK (frozen >= 0),
    version bigint NOT NULL CHECK (version >= 1),
    PRIMARY KEY (shard_id, account_id, currency_code)
) PARTITION BY RANGE (shard_id);

-- The change log, in two parts (figures: tests/bench/change_log/README.md).
-- Part one, the payload: appended once, never changed, retired by dropping days. Log ids are
-- UUIDv7, so a range of ids is a range of time and the primary key may be the partition key.
CREATE TABLE balance_change_logs (
    log_id uuid PRIMARY KEY,
    shard_id integer NOT NULL,
    account_id bigint NOT NULL,
    idempotency_key text NOT NULL,
    payload bytea NOT NULL
) PARTITION BY RANGE (log_id);

-- A clock that is days off must not stop the write side.
CREATE TABLE balance_change_logs_default PARTITION OF balance_change_logs DEFAULT;

-- Part two, the state: narrow, changed twice (position, result), all in place: no index holds a
-- column that changes. Its one btree is the uniqueness of the key, by which everything finds it.
CREATE TABLE balance_change_states (
    shard_id integer NOT NULL,
    account_id bigint NOT NULL,
    idempotency_key text NOT NULL,
    log_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    logged_at timestamptz NOT NULL,
    -- 0 INIT, 1 APPLIED, 2 REJECTED, 3 PARKED
    status smallint NOT NULL DEFAULT 0,
    reason_code smallint,
    reason text,
    partition integer,
    record_offset bigint,
    decided_at timestamptz,
    UNIQUE (shard_id, account_id, idempotency_key)
) PARTITION BY RANGE (shard_id);

-- The fact that an applied change leaves. Appended, never changed. Its order within a partition
-- is (partition, record_offset, change_index).
CREATE TABLE ledger_entries (
    shard_id integer NOT NULL,
    log_id uuid NOT NULL,
    change_index smallint NOT NULL,
    account_id bigint NOT NULL,
    currency_code text NOT NULL,
    -- 0 the change as asked, 1 its fallback
    branch smallint NOT NULL,
    available_delta numeric(36,18) NOT NULL,
    frozen_delta numeric(36,18) NOT NULL,
    available_after numeric(36,18) NOT NULL,
    frozen_after numeric(36,18) NOT NULL,
    version bigint NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    PRIMARY KEY (shard_id, log_id, change_index)
) PARTITION BY RANGE (shard_id);

-- Records of the topic that have no effect, kept as they were.
CREATE TABLE dead_letters (
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    log_id uuid,
    reason text NOT NULL,
    message text NOT NULL,
    record_key bytea NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, record_offset)
);
