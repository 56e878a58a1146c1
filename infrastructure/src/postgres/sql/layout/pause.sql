-- Pauses writing for a change, or takes over the pause of the same one under a new id. No row: there
-- is no layout, or another change pauses.
--
-- $1 the kind, $2 the partitions that a raise asks for; NULL for another kind. $3 the change's new id.
-- Gives whether it was paused before.
WITH before AS (SELECT change_id IS NOT NULL AS was_paused FROM layout FOR UPDATE)
UPDATE layout
   SET change_id = $3,
       change_kind = $1,
       paused_at = coalesce(paused_at, clock_timestamp()),
       change_seen_at = clock_timestamp(),
       target_partition_count = $2
  FROM before
 WHERE change_id IS NULL
    OR (change_kind = $1 AND ($2::integer IS NULL OR target_partition_count = $2))
RETURNING before.was_paused
