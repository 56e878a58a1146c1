-- What guards the topic, and what changes the layout.

-- SHA-256 over the last record below the stored offset: tells a log that was made anew from the one
-- whose offset is stored. NULL before the first batch, and after a topic was adopted.
ALTER TABLE partition_leader_locks
    ADD COLUMN stored_record_digest bytea CHECK (octet_length(stored_record_digest) = 32),
    -- The epoch of the layout that the partition is led under; raised with the token. Whoever takes
    -- the partition over with an older map must not lead.
    ADD COLUMN layout_epoch integer NOT NULL DEFAULT 1 CHECK (layout_epoch >= 1),
    -- When an operator said that a new log stands behind this partition: positions that were noted
    -- before are of another log.
    ADD COLUMN log_adopted_at timestamptz;

UPDATE partition_leader_locks SET layout_epoch = (SELECT epoch FROM layout)
 WHERE EXISTS (SELECT FROM layout);

ALTER TABLE layout
    -- The change under way; its command shows the id with every step, and a later command that
    -- takes the change over gives it a new one.
    ADD COLUMN change_id uuid,
    -- RAISE or ADOPT.
    ADD COLUMN change_kind text,
    -- Since when nothing may be logged.
    ADD COLUMN paused_at timestamptz,
    -- How many partitions a raise gives the topic. It stays when a raise is taken back: the brokers
    -- may have that many by then, and can't go back.
    ADD COLUMN target_partition_count integer CHECK (target_partition_count >= 1),
    ADD CHECK ((change_id IS NULL) = (paused_at IS NULL) AND (change_id IS NULL) = (change_kind IS NULL)),
    ADD CHECK (change_kind IN ('RAISE', 'ADOPT'));

-- The advisory lock between those who log and those who pause: the first share it, the second take
-- it alone once the pause is committed, and then no statement that saw the layout before is open.
CREATE FUNCTION layout_lock_key() RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 7022365690121 $$;

-- Whether rows may be logged by a map of this epoch; refused with SQLSTATE AX001 while a change of
-- the layout pauses writes, and AX002, with the epoch that stands in DETAIL, when the map is another.
--
-- VOLATILE, so that each statement in here has a snapshot of its own: the layout is read after the
-- lock is had, whatever the statement around it saw when it began. Do not fold the two into one.
CREATE FUNCTION admit_log(known_epoch integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    standing layout%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(layout_lock_key());
    SELECT * INTO standing FROM layout;
    IF standing.paused_at IS NOT NULL THEN
        RAISE EXCEPTION 'nothing is logged while the layout is changed'
            USING ERRCODE = 'AX001';
    END IF;
    IF standing.epoch IS DISTINCT FROM known_epoch THEN
        RAISE EXCEPTION 'the layout is of epoch %, the rows were mapped by %', standing.epoch, known_epoch
            USING ERRCODE = 'AX002', DETAIL = coalesce(standing.epoch::text, '');
    END IF;
    RETURN true;
END
$$;
