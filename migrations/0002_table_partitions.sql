-- How the partitioned tables get their table partitions.

-- The table partitions of one range of shards, first inclusive, last exclusive. Run when a layout
-- is made, for each range of a pool.
CREATE FUNCTION make_shard_range(first_shard integer, end_shard integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    suffix text := format('s%s_%s', first_shard, end_shard - 1);
BEGIN
    EXECUTE format(
        'CREATE TABLE account_balances_%s PARTITION OF account_balances
             FOR VALUES FROM (%s) TO (%s) WITH (fillfactor = 70)', suffix, first_shard, end_shard);
    -- Half of each page stays free: both updates of a row then stay on its page (HOT).
    EXECUTE format(
        'CREATE TABLE balance_change_states_%s PARTITION OF balance_change_states
             FOR VALUES FROM (%s) TO (%s) WITH (fillfactor = 50)', suffix, first_shard, end_shard);
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
-- it made. The advisory lock lets one process do it at a time.
CREATE FUNCTION ensure_change_log_days(days integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    today timestamp := date_trunc('day', now() AT TIME ZONE 'UTC');
    first_of_day timestamp;
    table_name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('axs.change_log_days'));
    FOR offset_days IN 0..days LOOP
        first_of_day := today + make_interval(days => offset_days);
        table_name := format('balance_change_logs_%s', to_char(first_of_day, 'YYYYMMDD'));
        IF to_regclass(table_name) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF balance_change_logs FOR VALUES FROM (%L) TO (%L)',
                table_name,
                uuid_v7_floor(first_of_day AT TIME ZONE 'UTC'),
                uuid_v7_floor((first_of_day + interval '1 day') AT TIME ZONE 'UTC'));
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;
