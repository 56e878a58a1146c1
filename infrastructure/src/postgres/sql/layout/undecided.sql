-- How many rows are INIT, counted up to $1. Reads the state tables, as nothing but a scan can: no
-- index names the status.
SELECT count(*) FROM (SELECT FROM balance_change_states WHERE status = 0 LIMIT $1) undecided
