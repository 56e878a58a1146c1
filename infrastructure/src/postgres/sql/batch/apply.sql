-- Gives how many rows each part reached, and the one time of the decision. Under the fence of every
-- partition that is staged nobody else writes these balances, so the versions found in this statement's
-- snapshot stand until COMMIT.
--
-- What is staged in which rows stands with the table, in prepare_session.sql.
--
-- Each row's table partition is found while running. Naming the shards (`shard_id = ANY …`) would
-- prune while planning too, but goes into the index condition, and made the look-ups a fifth to a
-- half slower.
WITH
moved AS (
    UPDATE account_balances b
       SET available = s.available, frozen = s.frozen, version = s.version
      FROM axs_staging s
     WHERE s.version_read > 0 AND s.version IS NOT NULL
       AND b.shard_id = s.shard_id
       AND b.account_id = s.account_id
       AND b.currency_code = s.currency_code
       -- The guard: the balance stands where the batch was decided. Tested on the row that the
       -- key found, and opaque, so that the planner builds no hopes on it.
       AND CASE WHEN b.version = s.version_read THEN true ELSE false END
    RETURNING 1
),
opened AS (
    INSERT INTO account_balances
           (shard_id, account_id, currency_code, available, frozen, version)
    SELECT shard_id, account_id, currency_code, available, frozen, version
      FROM axs_staging
     WHERE version_read = 0 AND version IS NOT NULL
    -- A row that is there already is somebody else's: the count tells.
    ON CONFLICT (shard_id, account_id, currency_code) DO NOTHING
    RETURNING 1
),
stood AS (
    SELECT count(*) AS reached
      FROM axs_staging s
     WHERE s.version_read IS NOT NULL AND s.version IS NULL
       AND s.version_read = COALESCE(
        (SELECT b.version
           FROM account_balances b
          WHERE b.shard_id = s.shard_id
            AND b.account_id = s.account_id
            AND b.currency_code = s.currency_code), 0)
),
finalised AS (
    -- Staged in the order of the key, the order in which the offset hint locks too.
    UPDATE balance_change_states l
       SET status = s.status,
           reason_code = s.reason_code,
           reason = s.reason,
           partition = s.partition,
           record_offset = s.record_offset,
           decided_at = statement_timestamp()
      FROM axs_staging s
     WHERE s.status IS NOT NULL
       AND l.shard_id = s.shard_id
       AND l.account_id = s.account_id
       AND l.idempotency_key = s.idempotency_key
       -- Found by the key alone; only then is the row looked at. Inside CASE the planner can't
       -- believe, by old statistics, that no row is INIT, nor reach for another index.
       AND CASE WHEN l.status = 0
                 AND l.log_id = s.log_id
                 AND l.fingerprint = s.fingerprint
                 AND l.logged_at = s.logged_at
                THEN true ELSE false END
    RETURNING 1
),
entered AS (
    INSERT INTO ledger_entries
           (shard_id, log_id, change_index, account_id, currency_code, branch, available_delta,
            frozen_delta, available_after, frozen_after, version, partition, record_offset)
    SELECT shard_id, log_id, change_index, account_id, currency_code, branch, available_delta,
           frozen_delta, available, frozen, version, partition, record_offset
      FROM axs_staging
     WHERE change_index IS NOT NULL
    RETURNING 1
)
SELECT (SELECT count(*) FROM moved) AS moved,
       (SELECT count(*) FROM opened) AS opened,
       (SELECT reached FROM stood) AS stood,
       (SELECT count(*) FROM finalised) AS finalised,
       (SELECT count(*) FROM entered) AS entered,
       statement_timestamp() AS decided_at
