-- In the order in which a candidate locks too: lease, then leader row. Heartbeats skip what is
-- locked.
SELECT partition FROM partition_leases ORDER BY partition FOR UPDATE
