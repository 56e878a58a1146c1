-- $1 the change, whose raise grows the topics next. No row: it is not this change's pause any more, and
-- nothing may grow. A larger number stays: the brokers may have that many from a raise before.
UPDATE layout
   SET change_seen_at = clock_timestamp(),
       grown_partition_count = greatest(grown_partition_count, target_partition_count)
 WHERE change_id = $1
