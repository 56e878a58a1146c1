-- What a writer's connection needs beyond what every session is told. Once for each connection:
-- it belongs to the writer until it is closed.
--
-- Join order and method are taken out of the planner's hands: staging outside, the table's unique
-- index inside. Its statistics are of another hour, and a wrong guess (a hash join over a whole
-- table partition, a nested loop over one status) costs a hundred times more than it could win.
-- Staging has no index, so it must be scanned: once, when it is outside, and again for every row
-- of the table when it is inside, at the price of a disabled node each time, which nothing can
-- lower while no node may keep its rows.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_material = off;
SET jit = off;
-- With nothing left to choose, a plan is as good for the next batch: making it anew is work for nothing.
SET plan_cache_mode = force_generic_plan;
SET client_min_messages = warning;
-- A batch, or several of different partitions, is staged flat, so that one COPY carries it: a row for each
-- change that took effect, with what it is also the first or the last of, and rows for what has no such
-- change.
--
-- | what | its columns | which rows |
-- |---|---|---|
-- | an event to finalise | log_id … reason | the first of each event: status IS NOT NULL |
-- | a ledger entry | change_index … frozen | change_index IS NOT NULL |
-- | a balance that moves | currency_code, version_read, version, available, frozen | the last of each balance: version_read > 0 AND version IS NOT NULL |
-- | a balance that is opened | the same | version_read = 0 AND version IS NOT NULL |
-- | a balance that must stand | currency_code, version_read | version_read IS NOT NULL AND version IS NULL |
--
-- One table, not one for each: every temporary table must be emptied at COMMIT. Rows go at COMMIT and at
-- ROLLBACK; the table stays with the connection.
--
-- It has no TOAST table, which would have to be emptied too, index and all: every column is stored PLAIN. So
-- a row must fit a page, and does: texts are bounded far below. PostgreSQL 15 takes the storage of columns
-- from another table only.
CREATE TEMPORARY TABLE axs_staging_columns (
    partition integer NOT NULL,
    shard_id integer NOT NULL,
    account_id bigint NOT NULL,
    record_offset bigint,
    log_id uuid,
    idempotency_key text COLLATE "C",
    fingerprint bytea,
    logged_at timestamptz,
    status smallint,
    reason_code smallint,
    reason text COLLATE "C",
    change_index smallint,
    branch smallint,
    currency_code text COLLATE "C",
    version_read bigint,
    version bigint,
    available_delta numeric(36,18),
    frozen_delta numeric(36,18),
    available numeric(36,18),
    frozen numeric(36,18)
);
ALTER TABLE axs_staging_columns
    ALTER idempotency_key SET STORAGE PLAIN,
    ALTER fingerprint SET STORAGE PLAIN,
    ALTER reason SET STORAGE PLAIN,
    ALTER currency_code SET STORAGE PLAIN,
    ALTER available_delta SET STORAGE PLAIN,
    ALTER frozen_delta SET STORAGE PLAIN,
    ALTER available SET STORAGE PLAIN,
    ALTER frozen SET STORAGE PLAIN;
CREATE TEMPORARY TABLE axs_staging (LIKE axs_staging_columns INCLUDING STORAGE) ON COMMIT DELETE ROWS;
DROP TABLE axs_staging_columns
