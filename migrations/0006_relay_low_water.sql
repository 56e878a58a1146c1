-- The relay's low-water mark is kept with its partition, so that a new leader begins where the last
-- one had come to, and not at the oldest row.
--
-- No row logged at or before relay_low_water is INIT, nor can one become visible any more, unless
-- a parked event is redriven: that lowers the mark and raises relay_generation in its transaction, and
-- a mark is only moved forward by who has seen the newest generation. The mark was made for the
-- shards that the partition had in relay_epoch; in another epoch of the layout it says nothing.
ALTER TABLE partition_leader_locks
    ADD COLUMN relay_low_water timestamptz,
    ADD COLUMN relay_epoch integer,
    ADD COLUMN relay_generation bigint NOT NULL DEFAULT 0;
