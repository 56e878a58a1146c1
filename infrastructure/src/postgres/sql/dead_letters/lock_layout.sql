-- Keeps shards where they are until COMMIT: a change of the layout updates this row. A statement of
-- its own, so that the next one sees the shards as they stand once the lock is had.
SELECT epoch FROM layout FOR SHARE
