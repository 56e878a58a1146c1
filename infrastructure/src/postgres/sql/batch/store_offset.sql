-- $1 partitions, $2 tokens, $3 owners, $4 offsets before, $5 offsets after, $6 digests of the last records
-- below them: arrays of one length, a place for each batch. Must hit exactly one row for each.
UPDATE partition_leader_locks l
   SET stored_offset = b.offset_after, stored_record_digest = b.record_digest
  FROM unnest($1::integer[], $2::bigint[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bytea[])
       AS b (partition, fencing_token, owner, offset_before, offset_after, record_digest)
 WHERE l.partition = b.partition
   AND l.fencing_token = b.fencing_token AND l.owner = b.owner
   AND l.stored_offset = b.offset_before
