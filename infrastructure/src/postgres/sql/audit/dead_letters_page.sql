-- A page of dead letters by number, and which of them are open and carry the log id of an event that
-- is INIT. $1 the last number of the page before, $2 how many.
WITH page AS MATERIALIZED (
    SELECT dead_letter_id, log_id, partition, record_offset, reason, message, state
      FROM dead_letters
     WHERE dead_letter_id > $1
     ORDER BY dead_letter_id
     LIMIT $2
)
SELECT page.dead_letter_id, s.log_id, s.account_id,
       format('its record at offset %s of partition %s is dead letter %s: %s, %s',
              page.record_offset, page.partition, page.dead_letter_id, page.reason, page.message)
           AS words
  FROM page
  LEFT JOIN balance_change_logs l ON l.log_id = page.log_id AND page.state = 0
  LEFT JOIN balance_change_states s
    ON s.shard_id = l.shard_id AND s.account_id = l.account_id
   AND s.idempotency_key = l.idempotency_key AND s.log_id = l.log_id AND s.status = 0
 ORDER BY page.dead_letter_id
