-- $1 the epoch, $2 the partitions. Ends the pause with the raise. A note of more partitions than these
-- stays: a raise that was taken back may still be growing the topics to them.
UPDATE layout
   SET epoch = $1, partition_count = $2, change_id = NULL, change_kind = NULL, paused_at = NULL,
       change_seen_at = NULL, target_partition_count = NULL,
       grown_partition_count = CASE WHEN grown_partition_count > $2 THEN grown_partition_count END
