-- $1 partition, $2 token, $3 owner, $4 generation, $5 the layout's epoch, $6 the mark (NULL: there is none),
-- $7 the incarnation of the claim. No row: fenced, of another history, or a parked event was redriven since
-- the generation was read, so that the mark may lie above it. Waits for the open batch, and holds the next
-- one up for one short commit: so it is moved rarely.
UPDATE partition_leader_locks
   SET relay_low_water = $6, relay_epoch = $5
 WHERE partition = $1 AND fencing_token = $2 AND owner = $3 AND relay_generation = $4
   AND $7 = (SELECT database_incarnation())
