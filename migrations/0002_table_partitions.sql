-- How the partitioned tables get their table partitions.

-- The table partitions of one range of shards, first inclusive, last exclusive. Run when a layout
-- is made, for each range of a pool.
--
-- Autovacuum comes often and does little: it marks pages that no longer change, keeps the planner's
-- figures fresh while a new table fills, and summarises the BRIN ranges.
CREATE FUNCTION make_shard_range(first_shard integer, end_shard integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    suffix text := format('s%s_%s', first_shard, end_shard - 1);
BEGIN
    EXECUTE format(
        'CREATE TABLE account_balances_%s PARTITION OF account_balances
             FOR VALUES FROM (%s) TO (%s)
             WITH (fillfactor = 70, autovacuum_analyze_scale_factor = 0.05)', suffix, first_shard, end_shard);
    -- Half of each page stays free: both updates of a row then stay on its page (HOT).
    EXECUTE format(
        'CREATE TABLE balance_change_states_%s PARTITION OF balance_change_states
             FOR VALUES FROM (%s) TO (%s)
             WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1,
                   autovacuum_vacuum_insert_scale_factor = 0.05,
                   autovacuum_analyze_scale_factor = 0.05)', suffix, first_shard, end_shard);
    -- The relay's scan starts at a low-water mark of logged_at; BRIN finds it for almost nothing.
    EXECUTE format(
        'CREATE INDEX ON balance_change_states_%s USING brin (logged_at)
             WITH (pages_per_range = 32, autosummarize = on)', suffix);
    EXECUTE format(
        'CREATE TABLE ledger_entries_%s PARTITION OF ledger_entries
             FOR VALUES FROM (%s) TO (%s)', suffix, first_shard, end_shard);
END
$$;

-- The smallest UUIDv7 (RFC 9562, section 5.7) of a moment: 48 bits of Unix milliseconds in front.
CREATE FUNCTION uuid_v7_floor(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0')
            || '00000000000000000000')::uuid
$$;

-- Makes the change log's table partitions of today and of `days` more days, UTC. Gives how many
-- it made.
--
-- Safe beside the write side: ATTACH takes a lock on the log that writers don't wait for (SHARE
-- UPDATE EXCLUSIVE), where CREATE … PARTITION OF would stop them. Rows of a day that came before
-- its table, by a clock that runs ahead, lie in the default partition and are moved: ATTACH would
-- refuse otherwise, for ever. The advisory lock lets one process do it at a time.
CREATE FUNCTION ensure_change_log_days(days integer) RETURNS integer
LANGUAGE plpgsql
-- Behind a long reader of the default partition it gives up and is run again.
SET lock_timeout = '5s'
AS $$
DECLARE
    today timestamp := date_trunc('day', now() AT TIME ZONE 'UTC');
    first_of_day timestamp;
    table_name text;
    first_id uuid;
    end_id uuid;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('axs.change_log_days'));
    FOR day IN 0..days LOOP
        first_of_day := today + make_interval(days => day);
        table_name := format('balance_change_logs_%s', to_char(first_of_day, 'YYYYMMDD'));
        CONTINUE WHEN to_regclass(table_name) IS NOT NULL;
        first_id := uuid_v7_floor(first_of_day AT TIME ZONE 'UTC');
        end_id := uuid_v7_floor((first_of_day + interval '1 day') AT TIME ZONE 'UTC');
        EXECUTE format('CREATE TABLE %I (LIKE balance_change_logs INCLUDING ALL)', table_name);
        -- Nobody may add a row of that day to the default partition from here to the end.
        LOCK TABLE balance_change_logs_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format(
            'WITH moved AS (
                 DELETE FROM balance_change_logs_default WHERE log_id >= %L AND log_id < %L
                 RETURNING *)
             INSERT INTO %I SELECT * FROM moved', first_id, end_id, table_name);
        EXECUTE format(
            'ALTER TABLE balance_change_logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            table_name, first_id, end_id);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
