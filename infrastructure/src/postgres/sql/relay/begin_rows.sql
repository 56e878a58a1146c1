-- Begins the transaction of still_init.sql, in one round trip.
--
-- Beside BRIN the planner likes to read every entry of the key's index that is of these shards: as
-- many as the table has rows of them, where BRIN alone reads those of some seconds (1.2 million rows,
-- 5 s of them scanned: 70 ms against 12). And no scan is worth a second core.
BEGIN READ ONLY;
SET LOCAL cpu_index_tuple_cost = 1;
SET LOCAL max_parallel_workers_per_gather = 0
