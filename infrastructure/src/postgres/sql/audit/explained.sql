-- Which events rightly stand where they stand.
--
-- $1 log ids of events that are INIT although the stored offset passed their record: they were
-- redriven, or a record with their log id is a dead letter. $2 log ids of events that are PARKED:
-- one commit parks an event and lists it, and one ends both. Both tables are small.
SELECT log_id FROM parked_events WHERE log_id = ANY ($1::uuid[]) AND state = 1
UNION
SELECT log_id FROM dead_letters WHERE log_id = ANY ($1::uuid[])
UNION
SELECT log_id FROM parked_events WHERE log_id = ANY ($2::uuid[]) AND state = 0
