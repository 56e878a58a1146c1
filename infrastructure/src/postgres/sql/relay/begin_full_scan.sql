-- Begins the transaction of a scan without a mark: it reads every state of its shards, which may
-- take longer than a statement of the running system may. One round trip. Rare: the first scan of
-- a partition, and the first after its shards changed.
BEGIN READ ONLY;
SET LOCAL statement_timeout = '10min'
