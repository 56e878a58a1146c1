-- $1 partition, then one array for each column. Gives how many letters were written and how many of
-- them were there already: together all of them, or two at one offset hold the same bytes.
--
-- A letter that is there already was delivered again (the stored offset was set back): what was
-- kept of it, and what people did with it, stays. Under the fence nobody else adds letters of the
-- partition, so this statement's snapshot shows all that the INSERT can meet.
WITH letters AS MATERIALIZED (
    SELECT letter.*, dead_letter_digest(record_key, payload) AS record_digest
      FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::bytea[], $7::bytea[])
           AS letter (record_offset, log_id, reason, message, record_key, payload)
),
written AS (
    INSERT INTO dead_letters
           (partition, record_offset, log_id, reason, message, record_key, payload)
    SELECT $1, record_offset, log_id, reason, message, record_key, payload
      FROM letters
    ON CONFLICT (partition, record_offset, record_digest) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM written) AS written,
       (SELECT count(*)
          FROM letters
          JOIN dead_letters known USING (record_offset, record_digest)
         WHERE known.partition = $1) AS known
