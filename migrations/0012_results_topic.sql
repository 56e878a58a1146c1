-- The result topic belongs to the layout as the events topic does: a process that is set to another one
-- would publish there what nobody reads.
ALTER TABLE layout
    -- NULL where the layout was made before this was kept, until `bootstrap layout init` is run again.
    ADD COLUMN results_topic text;
