-- $1 the change, whose command lives. No row: it is not this change's pause any more.
UPDATE layout SET change_seen_at = clock_timestamp() WHERE change_id = $1
