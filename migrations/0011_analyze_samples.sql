-- The tables that grow are sampled by ANALYZE with a tenth of the usual rows: 3,000.
--
-- While a table fills, autovacuum analyses it again and again, and sorts each column of 30,000 sampled rows each
-- time. The statements on these tables find their
-- rows by keys or by time, whatever their spread, so finer figures would change no plan.
-- SET STATISTICS waits neither for readers nor for writers; it does for a VACUUM that a person runs.
CREATE FUNCTION sample_few_rows(sampled regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    column_name name;
BEGIN
    FOR column_name IN
        SELECT attname FROM pg_attribute
         WHERE attrelid = sampled AND attnum > 0 AND NOT attisdropped
    LOOP
        -- With the table partitions that are there.
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 10', sampled, column_name);
    END LOOP;
END
$$;

SELECT sample_few_rows('account_balances');
SELECT sample_few_rows('balance_change_states');
SELECT sample_few_rows('ledger_entries');
SELECT sample_few_rows('balance_change_logs');

-- As before, and sampled so: a table partition does not take this over from its table.
CREATE OR REPLACE FUNCTION make_shard_range(first_shard integer, end_shard integer) RETURNS void
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
    PERFORM sample_few_rows(format('account_balances_%s', suffix)::regclass);
    PERFORM sample_few_rows(format('balance_change_states_%s', suffix)::regclass);
    PERFORM sample_few_rows(format('ledger_entries_%s', suffix)::regclass);
END
$$;

-- The same.
CREATE OR REPLACE FUNCTION ensure_change_log_days(days integer) RETURNS integer
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
        PERFORM sample_few_rows(table_name::regclass);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
