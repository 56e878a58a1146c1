-- For a scan without a mark: it reads every state of its shards, which may take longer than a
-- statement of the running system may. Rare: the first scan of a partition, and the first after its
-- shards changed.
SET LOCAL statement_timeout = '10min'
