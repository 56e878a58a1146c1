-- What tells a change of the layout that is under way from one whose command died, and a topic that a
-- raise grew from one that it never reached.

ALTER TABLE layout
    -- When the command of the change was last heard of, by this clock.
    ADD COLUMN change_seen_at timestamptz,
    -- How many partitions the topics may have: noted before a raise grows them, and kept when the raise
    -- is taken back, since the brokers can't go back.
    ADD COLUMN grown_partition_count integer CHECK (grown_partition_count >= 1);

-- Until now a raise that was begun counted as one that grew.
UPDATE layout SET change_seen_at = paused_at, grown_partition_count = target_partition_count;
UPDATE layout SET target_partition_count = NULL WHERE change_id IS NULL;

ALTER TABLE layout
    ADD CHECK ((change_id IS NULL) = (change_seen_at IS NULL)),
    ADD CHECK (change_id IS NOT NULL OR target_partition_count IS NULL);
