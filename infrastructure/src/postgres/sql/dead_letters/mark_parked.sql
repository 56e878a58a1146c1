-- $1 id, $2 state.
UPDATE parked_events SET state = $2 WHERE dead_letter_id = $1
