-- $1 id, $2 state.
UPDATE dead_letters SET state = $2 WHERE dead_letter_id = $1
