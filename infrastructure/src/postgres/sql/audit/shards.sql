-- The shards of the layout, and its epoch.
SELECT s.shard_id, s.partition, l.epoch
  FROM shards s CROSS JOIN layout l
 ORDER BY s.shard_id
