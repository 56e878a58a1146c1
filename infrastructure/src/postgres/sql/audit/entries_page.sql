-- How many entries a page has, and where it ends. $1 shard, $2 and $3 log id and change of the last
-- entry of the page before, $4 how many. From the primary key alone; no row when nothing is left.
WITH page AS MATERIALIZED (
    SELECT log_id, change_index FROM ledger_entries
     WHERE shard_id = $1 AND (log_id, change_index) > ($2, $3)
     ORDER BY log_id, change_index
     LIMIT $4
)
SELECT log_id, change_index, (SELECT count(*) FROM page) AS rows
  FROM page
 ORDER BY log_id DESC, change_index DESC
 LIMIT 1
