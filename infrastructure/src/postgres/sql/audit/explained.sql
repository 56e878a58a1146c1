-- Which events may be INIT although the stored offset passed their record: they were redriven, or a
-- record with their log id is a dead letter. $1 log ids. Both tables are small.
SELECT log_id FROM parked_events WHERE log_id = ANY ($1::uuid[]) AND state = 1
UNION
SELECT log_id FROM dead_letters WHERE log_id = ANY ($1::uuid[])
