-- What was done with an entry. $1 id.
SELECT action, operator, database_user, reason, acted_at
  FROM dead_letter_actions
 WHERE dead_letter_id = $1
 ORDER BY action_id
