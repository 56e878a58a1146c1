-- For a scan without a mark, which reads every state of its shards, and for one that begins far
-- below the end. One window of it (relay_source/windows.rs) may take longer than a statement of the
-- running system may: one that is ended would begin anew with more to read.
SET LOCAL statement_timeout = '10min'
