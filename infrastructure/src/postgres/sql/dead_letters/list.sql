-- A page of dead records (kind 0) and parked events (kind 1), by id.
--
-- $1 kind, $2 partition, $3 reason, $4 account: NULL for all. $5 only open ones, $6 ids behind this
-- one, $7 at most this many. Planned with the values, so that what is NULL vanishes and the partial
-- indexes on open entries serve.
(
    SELECT dead_letter_id, 0::smallint AS kind, state, partition, record_offset, log_id,
           NULL::bigint AS account_id, record_key, reason, message, created_at AS at, 1 AS times
      FROM dead_letters
     WHERE ($1::smallint IS NULL OR $1 = 0)
       AND ($2::integer IS NULL OR partition = $2)
       AND ($3::text IS NULL OR reason = $3)
       -- The topic's key is the account's number; what a stranger wrote may hold any bytes.
       AND ($4::bigint IS NULL OR record_key = convert_to($4::text, 'UTF8'))
       AND (NOT $5::boolean OR state = 0)
       AND dead_letter_id > $6
     ORDER BY dead_letter_id
     LIMIT $7
)
UNION ALL
(
    SELECT dead_letter_id, 1::smallint, state, partition, record_offset, log_id,
           account_id, NULL::bytea, 'PARKED', message, parked_at, times
      FROM parked_events
     WHERE ($1::smallint IS NULL OR $1 = 1)
       AND ($2::integer IS NULL OR partition = $2)
       AND ($3::text IS NULL OR $3 = 'PARKED')
       AND ($4::bigint IS NULL OR account_id = $4)
       AND (NOT $5::boolean OR state = 0)
       AND dead_letter_id > $6
     ORDER BY dead_letter_id
     LIMIT $7
)
 ORDER BY dead_letter_id
 LIMIT $7
