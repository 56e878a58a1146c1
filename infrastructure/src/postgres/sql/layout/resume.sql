-- $1 the change; NULL for whichever pauses. What a raise asked for goes with it; that it may have grown
-- the topics stays (note_growth.sql).
UPDATE layout
   SET change_id = NULL, change_kind = NULL, paused_at = NULL, change_seen_at = NULL,
       target_partition_count = NULL
 WHERE change_id IS NOT NULL AND ($1::uuid IS NULL OR change_id = $1)
