-- For a page of a scan without a mark, which reads every state of its shards, and of one that begins
-- far below the end. A part of the log (relay_source/window.rs) may take longer than a statement of
-- the running system may: one that is ended would begin anew with as much to read.
SET LOCAL statement_timeout = '10min'
