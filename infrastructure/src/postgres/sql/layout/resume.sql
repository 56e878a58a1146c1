-- $1 the change; NULL for whichever pauses. What a raise asked for stays: the topic may have grown.
UPDATE layout
   SET change_id = NULL, change_kind = NULL, paused_at = NULL
 WHERE change_id IS NOT NULL AND ($1::uuid IS NULL OR change_id = $1)
