-- Where a consumer runs, for a person who reads who leads what. Nothing is decided by it; NULL of one that
-- checked in by an earlier version.
ALTER TABLE consumers ADD COLUMN name text;
