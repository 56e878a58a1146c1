-- $1 partition, then one array for each column. No ON CONFLICT: the letters commit with the
-- offset that passes them, so a second one at an offset is a bug that must show.
INSERT INTO dead_letters
       (partition, record_offset, log_id, reason, message, record_key, payload)
SELECT $1, letter.*
  FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::bytea[], $7::bytea[]) AS letter
