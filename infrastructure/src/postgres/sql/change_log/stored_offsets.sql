-- How far each partition is decided. Positions below that are not noted: their rows are final and hold
-- them. Under load those are nearly all, so they are left out before anything is sorted or sent.
SELECT partition, stored_offset
  FROM partition_leader_locks
