-- The payloads of these rows.
--
-- $1 log ids. They are constants to the planner, which leaves out the days that none of them is of.
SELECT log_id, payload
  FROM balance_change_logs
 WHERE log_id = ANY ($1::uuid[])
