-- Which of these days' tables were dropped by retention. $1 names of tables.
--
-- A day is retired when its table is gone, and it is older than every day that the snapshot has, or
-- one of these: dropped while the snapshot is open. to_regclass looks at now, the join at the
-- snapshot. Rows of a day that never had a table lie in the default partition and are never retired.
WITH kept AS (
    SELECT c.relname::text AS table_name
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'balance_change_logs'::regclass
       AND c.relname ~ '^balance_change_logs_[0-9]{8}$'
)
SELECT asked.table_name
  FROM unnest($1::text[]) AS asked (table_name)
 WHERE to_regclass(asked.table_name) IS NULL
   AND (asked.table_name < (SELECT min(table_name) FROM kept)
        OR asked.table_name IN (SELECT table_name FROM kept))
