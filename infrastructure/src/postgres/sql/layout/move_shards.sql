-- $1 shards, $2 their partitions: arrays of one length, every shard of the layout. Gives as many
-- rows as there are shards, or the map is not whole.
UPDATE shards
   SET partition = home.partition
  FROM unnest($1::integer[], $2::integer[]) AS home (shard_id, partition)
 WHERE shards.shard_id = home.shard_id
