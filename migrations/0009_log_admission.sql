-- Rows are logged only in the history of the database in which their accounts were found. After a failover
-- that lost a tail, an account may live on another shard than a process remembers, or not be open at all:
-- a key that is known on the one shard would be new on the other, and its event would take effect twice.

DROP FUNCTION admit_log(integer);

-- Whether rows may be logged that were placed by a map of this epoch, for accounts that were found in this
-- incarnation. Refused with SQLSTATE AX001 while a change of the layout pauses writes; AX002, with the
-- epoch that stands in DETAIL, when the map is another; AX003, with the incarnation that stands in DETAIL,
-- when the database has another history.
--
-- VOLATILE, so that each statement in here has a snapshot of its own: layout and incarnation are read after
-- the lock is had, whatever the statement around it saw when it began. Do not fold them into one.
CREATE FUNCTION admit_log(known_epoch integer, known_incarnation bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    standing layout%ROWTYPE;
    incarnation bigint;
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
    incarnation := database_incarnation();
    IF incarnation <> known_incarnation THEN
        RAISE EXCEPTION 'the database has incarnation %, the accounts were found in %',
                        incarnation, known_incarnation
            USING ERRCODE = 'AX003', DETAIL = incarnation::text;
    END IF;
    RETURN true;
END
$$;
