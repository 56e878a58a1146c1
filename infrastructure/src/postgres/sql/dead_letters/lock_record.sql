-- A dead record and what was done with it, locked. $1 id.
SELECT state FROM dead_letters WHERE dead_letter_id = $1 FOR UPDATE
