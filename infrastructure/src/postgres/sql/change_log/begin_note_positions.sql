-- Begins the transaction of note_positions.sql, in one round trip. The planner's figures may be of
-- another hour; the key's index is right at every size.
BEGIN;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_seqscan = off
