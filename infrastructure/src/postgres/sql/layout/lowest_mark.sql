-- The lowest mark of the relays, at or below which no row is INIT, less what a term's first scan goes
-- below it too: PostgreSQL's clock may have been set back. NULL where a partition has no mark of its
-- layout's epoch, or one that the clock has not reached. And the same, but not long ago, so that what
-- lies above is read soon.
SELECT at, greatest(at, now() - interval '15 minutes') AS at_recent
  FROM (SELECT CASE WHEN bool_and(relay_epoch IS NOT DISTINCT FROM layout_epoch
                                  AND relay_low_water IS NOT NULL AND relay_low_water <= now())
                    THEN min(relay_low_water) - interval '2 minutes' END AS at
          FROM partition_leader_locks) lowest
