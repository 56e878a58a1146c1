-- What a scan begins with: the stored mark, the clock, and since when transactions are open that may
-- still make rows visible. Read in a statement before the scan's: what commits in between, the
-- scan sees.
--
-- $1 partition, $2 the layout's epoch.
--
-- A row's logged_at is the start of its transaction or later (append.sql, $9), never earlier, and
-- its COMMIT may hang for longer than any statement timeout: behind a synchronous replica, or
-- frozen. So the mark stays below the start of every open transaction that has written. A
-- transaction that has not written yet gets its id within a statement timeout, which is what the
-- grace is longer than.
--
-- The start of another role's transaction is seen only by members of that role or of
-- pg_read_all_stats; others' transaction ids are seen by all. One that has written, and whose start
-- is hidden (or not tracked), is `unseen`: then nothing is known, and the mark stays where it is.
-- Autovacuum and the like write no log rows; whether it is one of them is hidden in the same way.
WITH open AS MATERIALIZED (
    SELECT xact_start
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND backend_xid IS NOT NULL
       AND pid <> pg_backend_pid()
       AND (backend_type IS NULL OR backend_type IN ('client backend', 'parallel worker'))
)
SELECT CASE WHEN leader.relay_epoch = $2 THEN leader.relay_low_water END AS low_water,
       leader.relay_generation AS generation,
       database_incarnation() AS incarnation,
       -- Before anything above was looked at.
       now() AS now,
       (SELECT min(xact_start) FROM open) AS open_since,
       (SELECT count(*) FROM open WHERE xact_start IS NULL) AS unseen,
       -- When a prepared transaction began is known to nobody; it was prepared later.
       (SELECT min(prepared) FROM pg_prepared_xacts WHERE database = current_database())
           AS prepared_since
  FROM partition_leader_locks leader
 WHERE leader.partition = $1
