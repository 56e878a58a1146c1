-- The core of AXS. Forward only: a later change is a later file.
--
-- Money is NUMERIC(36,18). Times are PostgreSQL's own (clock_timestamp or transaction start, as
-- each statement says). `partition` is always a Kafka partition; a part of a table is called a
-- table partition. Texts that are sorted or joined are COLLATE "C": the order of their bytes, which
-- is the order that the programs lock and answer in, whatever the server's locale.

-- Bounds of texts are bytes of UTF-8.
DO $$
BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the encoding of this database is %, but AXS needs UTF8',
            current_setting('server_encoding')
            USING HINT = 'CREATE DATABASE … ENCODING ''UTF8'' TEMPLATE template0';
    END IF;
END
$$;

CREATE TABLE accounts (
    account_id bigint PRIMARY KEY CHECK (account_id >= 1),
    user_id bigint NOT NULL CHECK (user_id >= 1),
    pool text COLLATE "C" NOT NULL,
    shard_id integer NOT NULL CHECK (shard_id >= 0),
    opened_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE currencies (
    code text COLLATE "C" PRIMARY KEY,
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
    pool text COLLATE "C" NOT NULL,
    partition integer NOT NULL CHECK (partition >= 0)
);

-- The next three tables have few rows that change all the time. Room on the page keeps every change
-- in place (HOT); autovacuum looks at them by count, since a share of few rows is soon reached.

-- Live consumers: who may be given partitions.
CREATE TABLE consumers (
    owner uuid PRIMARY KEY,
    live_until timestamptz NOT NULL
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- The fence: who may write, and how far the partition is written. Locked by every batch.
CREATE TABLE partition_leader_locks (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    fencing_token bigint NOT NULL DEFAULT 0 CHECK (fencing_token >= 0),
    owner uuid,
    stored_offset bigint NOT NULL DEFAULT 0 CHECK (stored_offset >= 0),
    -- Up to here results and cache writes are known to be out.
    results_offset bigint NOT NULL DEFAULT 0 CHECK (results_offset >= 0),
    -- The backend that writes for the owner: a candidate past the lease ends it when it holds
    -- this row and does not move.
    backend_pid integer
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- The lease, in rows of its own, so that a heartbeat never waits behind a batch.
CREATE TABLE partition_leases (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    fencing_token bigint NOT NULL DEFAULT 0 CHECK (fencing_token >= 0),
    owner uuid,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- What every account owns. The version counts the changes that made the balance: it starts at 1
-- and has no gaps. No CHECK on available: a rule may grant credit.
CREATE TABLE account_balances (
    shard_id integer NOT NULL,
    account_id bigint NOT NULL,
    currency_code text COLLATE "C" NOT NULL,
    available numeric(36,18) NOT NULL,
    frozen numeric(36,18) NOT NULL CHECK (frozen >= 0),
    version bigint NOT NULL CHECK (version >= 1),
    PRIMARY KEY (shard_id, account_id, currency_code)
) PARTITION BY RANGE (shard_id);

-- The change log, in two parts: figures and reasons in tests/bench/change_log/README.md.
--
-- Part one, the payload: appended once, never changed, retired by dropping days. Log ids are
-- UUIDv7, so a range of ids is a range of time and the primary key may be the partition key. It
-- carries the key of the state, by which a look-up by log id goes on.
CREATE TABLE balance_change_logs (
    log_id uuid PRIMARY KEY,
    account_id bigint NOT NULL,
    shard_id integer NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    payload bytea NOT NULL
) PARTITION BY RANGE (log_id);

-- A clock that is days off must not stop the write side.
CREATE TABLE balance_change_logs_default PARTITION OF balance_change_logs DEFAULT;

-- Part two, the state: narrow, changed twice (position, result), all in place (HOT).
--
-- No index may name status, reason_code, reason, partition, record_offset or decided_at, not even in
-- a predicate: every update would then write a new index entry. The one btree is the uniqueness of
-- the key, by which everything finds its row. Wide columns first: no padding.
CREATE TABLE balance_change_states (
    log_id uuid NOT NULL,
    account_id bigint NOT NULL,
    logged_at timestamptz NOT NULL,
    record_offset bigint,
    decided_at timestamptz,
    shard_id integer NOT NULL,
    partition integer,
    -- 0 INIT, 1 APPLIED, 2 REJECTED, 3 PARKED
    status smallint NOT NULL DEFAULT 0,
    reason_code smallint,
    fingerprint bytea NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    reason text,
    PRIMARY KEY (shard_id, account_id, idempotency_key),
    -- A position is whole or absent.
    CHECK ((partition IS NULL) = (record_offset IS NULL)),
    -- What was decided says when and where; what was refused says why.
    CHECK (status = 0 OR (decided_at IS NOT NULL AND partition IS NOT NULL)),
    CHECK (CASE status WHEN 0 THEN true WHEN 1 THEN reason_code IS NULL
           WHEN 2 THEN reason_code IS NOT NULL WHEN 3 THEN reason_code IS NOT NULL ELSE false END)
) PARTITION BY RANGE (shard_id);

-- The fact that an applied change leaves. Appended, never changed. Its order within a partition
-- is (partition, record_offset, change_index).
CREATE TABLE ledger_entries (
    log_id uuid NOT NULL,
    account_id bigint NOT NULL,
    version bigint NOT NULL CHECK (version >= 1),
    record_offset bigint NOT NULL,
    shard_id integer NOT NULL,
    partition integer NOT NULL,
    change_index smallint NOT NULL CHECK (change_index >= 0),
    -- 0 the change as asked, 1 its fallback
    branch smallint NOT NULL CHECK (branch IN (0, 1)),
    currency_code text COLLATE "C" NOT NULL,
    available_delta numeric(36,18) NOT NULL,
    frozen_delta numeric(36,18) NOT NULL,
    available_after numeric(36,18) NOT NULL,
    frozen_after numeric(36,18) NOT NULL,
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
