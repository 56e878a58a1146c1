-- How many rows are INIT, counted up to $1. $2 nothing at or before this time is (lowest_mark.sql); NULL:
-- the state tables are read whole, as nothing but a scan can tell, since no index names the status.
SELECT count(*)
  FROM (SELECT
          FROM balance_change_states
         WHERE status = 0
           -- Planned with the value, which BRIN finds.
           AND ($2::timestamptz IS NULL OR logged_at > $2)
         LIMIT $1) undecided
