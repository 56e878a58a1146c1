-- Writes rows, status INIT, payload and state as one fact, if all their keys are new. A row that
-- meets one with its key refuses the whole statement (23505), and append.sql is asked instead.
-- Gives the time written with the rows.
--
-- $1 log ids (ascending ones go into their key from left to right), $2 shards, $3 accounts,
-- $4 keys, $5 fingerprints, $6 payloads: arrays of one length.
-- $7 the epoch of the layout by which the rows will be published, $8 the incarnation in which their
-- accounts were found; see admit_log, which refuses.
-- $9 the earliest logged_at to write, just above the newest that this process was told: the
-- server's clock may have stepped back since, and the relay publishes in the order of logged_at. It
-- goes no further ahead of the clock than 5 minutes: one that was years ahead for a moment must not
-- keep the relay from what is logged afterwards.
--
-- Nearly every row is new, and ON CONFLICT makes every row pay for the ones that are not: it looks
-- each key up before it inserts it, and writes a second WAL record afterwards.
--
-- Locks: that of admit_log; the key's index entries, in the order of the key.
WITH admitted AS MATERIALIZED (
    -- Once, not for each row; its lock is held to the end of the transaction, which a refusal rolls
    -- back.
    SELECT admit_log($7, $8) AS may_log
),
logged AS (
    INSERT INTO balance_change_states
           (log_id, shard_id, account_id, idempotency_key, fingerprint, logged_at)
    SELECT log_id, shard_id, account_id, idempotency_key, fingerprint, greatest(now(), least($9, now() + interval '5 minutes'))
      FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::text[], $5::bytea[])
           AS a (log_id, shard_id, account_id, idempotency_key, fingerprint)
     WHERE (SELECT may_log FROM admitted)
     -- Do not remove: two writers with the same keys in two orders would deadlock.
     ORDER BY shard_id, account_id, idempotency_key COLLATE "C"
),
kept AS (
    INSERT INTO balance_change_logs (log_id, account_id, shard_id, idempotency_key, payload)
    SELECT log_id, account_id, shard_id, idempotency_key, payload
      FROM unnest($1::uuid[], $2::integer[], $3::bigint[], $4::text[], $6::bytea[])
           AS a (log_id, shard_id, account_id, idempotency_key, payload)
     WHERE (SELECT may_log FROM admitted)
)
SELECT greatest(now(), least($9, now() + interval '5 minutes'))
