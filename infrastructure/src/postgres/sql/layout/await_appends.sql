-- Waits for every append that began before the pause was committed: each holds the lock shared to
-- its end. Those that come later see the pause.
SELECT pg_advisory_xact_lock(layout_lock_key())
