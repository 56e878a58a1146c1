-- $1 the epoch. The relay's marks go on into it: at or below the lowest of them no row of any shard is INIT,
-- whichever partition the shard goes to. Where a partition has none of the epoch before, none has one, and
-- everything is scanned.
--
-- A statement after lock_leaders.sql: a redrive that was waited for has lowered its mark, and none begins
-- before the switch is done (lock_layout.sql).
UPDATE partition_leader_locks
   SET relay_epoch = $1,
       relay_low_water = (
        SELECT CASE WHEN bool_and(relay_low_water IS NOT NULL AND relay_epoch IS NOT DISTINCT FROM $1 - 1)
                    THEN min(relay_low_water) END
          FROM partition_leader_locks)
