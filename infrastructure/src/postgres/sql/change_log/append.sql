-- Writes rows, status INIT, payload and state as one fact. Gives the id of each row written and
-- the time written with it; a row that is missing from the answer met a row with its key.
--
-- $1 log ids, $2 shards, $3 accounts, $4 keys, $5 fingerprints, $6 payloads: arrays of one length.
-- $7 the epoch of the layout by which the rows will be published, $8 the incarnation in which their
-- accounts were found; see admit_log, which refuses.
-- $9 the earliest logged_at to write, just above the newest that this process was told: the
-- server's clock may have stepped back since, and the relay publishes in the order of logged_at. It
-- goes no further ahead of the clock than 5 minutes: one that was years ahead for a moment must not
-- keep the relay from what is logged afterwards.
--
-- One statement, so that it is a transaction of its own: one round trip, and nothing that a caller
-- who goes away could leave open. Which rows the keys met is read by a statement of its own
-- (states.sql): this one's snapshot can't see what it waited for.
--
-- Locks: that of admit_log; the key's index entries, in the order of the key.
WITH admitted AS MATERIALIZED (
    -- Once, not for each row. Whether it runs before or after rows are inserted is all the same: its
    -- lock is held to the end of the transaction, which a refusal rolls back.
    SELECT admit_log($7, $8) AS may_log
),
asked AS MATERIALIZED (
    SELECT *
      FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::text[], $5::bytea[], $6::bytea[])
           WITH ORDINALITY
           AS a (log_id, shard_id, account_id, idempotency_key, fingerprint, payload, position)
     WHERE (SELECT may_log FROM admitted)
),
logged AS (
    INSERT INTO balance_change_states
           (log_id, shard_id, account_id, idempotency_key, fingerprint, logged_at)
    SELECT log_id, shard_id, account_id, idempotency_key, fingerprint, greatest(now(), least($9, now() + interval '5 minutes'))
      FROM asked
     -- Do not remove: two writers with the same keys in two orders would deadlock. Of rows with one
     -- key the first asked is logged.
     ORDER BY shard_id, account_id, idempotency_key COLLATE "C", position
    ON CONFLICT (shard_id, account_id, idempotency_key) DO NOTHING
    RETURNING log_id
)
INSERT INTO balance_change_logs (log_id, account_id, shard_id, idempotency_key, payload)
SELECT log_id, account_id, shard_id, idempotency_key, payload
  FROM asked
  JOIN logged USING (log_id)
 -- Into the primary key from left to right.
 ORDER BY log_id
RETURNING log_id, greatest(now(), least($9, now() + interval '5 minutes')) AS logged_at
