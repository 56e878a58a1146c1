-- Makes the table partitions of one range of shards.
--
-- $1 the first shard, $2 the shard after the last one.
SELECT make_shard_range($1, $2)
