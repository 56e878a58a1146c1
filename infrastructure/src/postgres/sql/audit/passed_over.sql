-- Events still INIT although the offset noted for them lies below the stored one. $1 how many to
-- name at most. A batch finalises its rows and moves the offset in one commit, so a snapshot never
-- shows this of a sound database.
SELECT s.log_id
FROM balance_change_states s
JOIN partition_leader_locks k ON k.partition = s.partition
WHERE s.status = 0 AND s.record_offset < k.stored_offset
ORDER BY s.log_id
LIMIT $1
