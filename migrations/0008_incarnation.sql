-- The incarnation: a number that names one history of this database. A leader's claim and every cached
-- balance carry it, so that nothing of another history is ever taken for this one's: not after a restore,
-- not after a failover to a replica that lagged, not beside a copy.

ALTER TABLE layout
    -- Made anew by `bootstrap cache forget`, and with every layout.
    ADD COLUMN installation_id uuid NOT NULL DEFAULT gen_random_uuid();

-- Each part tells apart what the others can't:
--
-- | part | tells apart |
-- |---|---|
-- | the installation | what an operator renewed; tables that were emptied and laid out again |
-- | the server's system identifier | a dump restored on another server |
-- | the oid of the database | a copy, or a dump restored, on the same server |
-- | when the server was started | files put back under it (volume snapshot, base backup); two replicas promoted to the same timeline |
-- | the timeline | a replica before and after it was promoted |
--
-- STABLE, and it must stay so: the installation is then read in the snapshot of the statement that asks,
-- with the balances beside it. A standby refuses to answer (pg_current_wal_lsn), which is right: it may
-- lag. plpgsql, because it keeps its plan: a function in SQL is planned anew for each statement, at four
-- times the cost. The time of the start as a number: its text would follow each session's settings.
CREATE FUNCTION database_incarnation() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN hashtextextended(concat_ws('/',
        (SELECT installation_id FROM layout),
        (SELECT system_identifier FROM pg_control_system()),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        extract(epoch FROM pg_postmaster_start_time()),
        substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)), 0);
END
$$;

-- A role that may not call what it needs is told now, not by the first batch.
DO $$ BEGIN PERFORM database_incarnation(); END $$;
