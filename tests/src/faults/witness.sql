-- The suite's own table and trigger, in the database of one row of the fault table.
CREATE TABLE fault_witness (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition integer NOT NULL,
    fencing_token bigint NOT NULL,
    writer integer NOT NULL,
    recorded integer,
    offset_before bigint NOT NULL,
    offset_after bigint NOT NULL,
    by_the_suite boolean NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE FUNCTION fault_witness_note() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.stored_offset IS DISTINCT FROM OLD.stored_offset THEN
        INSERT INTO fault_witness
               (partition, fencing_token, writer, recorded, offset_before, offset_after, by_the_suite)
        VALUES (NEW.partition, NEW.fencing_token, pg_backend_pid(), NEW.backend_pid,
                OLD.stored_offset, NEW.stored_offset,
                COALESCE(current_setting('axs.by_the_suite', true), '') = 'yes');
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER fault_witness AFTER UPDATE ON partition_leader_locks
    FOR EACH ROW EXECUTE FUNCTION fault_witness_note();
