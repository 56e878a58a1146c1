-- $1 id, $2 log id, $3 action, $4 operator, $5 reason.
INSERT INTO dead_letter_actions (dead_letter_id, log_id, action, operator, reason)
VALUES ($1, $2, $3, $4, $5)
