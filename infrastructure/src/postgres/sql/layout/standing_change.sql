-- The change that pauses writing, and for how many milliseconds its command was not heard of.
SELECT change_kind, target_partition_count, paused_at,
       greatest(0, (extract(epoch FROM clock_timestamp() - change_seen_at) * 1000)::bigint)
  FROM layout
 WHERE change_id IS NOT NULL
