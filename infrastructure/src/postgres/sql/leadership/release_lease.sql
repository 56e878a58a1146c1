-- $1 partition, $2 token, $3 owner.
UPDATE partition_leases
   SET expires_at = '-infinity'
 WHERE partition = $1 AND fencing_token = $2 AND owner = $3
