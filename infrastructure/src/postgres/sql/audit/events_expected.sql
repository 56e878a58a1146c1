-- About how many events there are, by the planner's figures: no table is read. -1 is a table that
-- was never analysed.
SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'balance_change_states'::regclass
