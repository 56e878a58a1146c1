SELECT change_kind, target_partition_count, paused_at
  FROM layout
 WHERE change_id IS NOT NULL
