-- The first staged balance that does not stand where the batch was decided; a version of 0 is a
-- balance without a row.
SELECT s.account_id, s.currency_code, s.version_read, COALESCE(b.version, 0) AS version_found
  FROM axs_staging s
  LEFT JOIN account_balances b
    ON b.shard_id = s.shard_id
   AND b.account_id = s.account_id
   AND b.currency_code = s.currency_code
 WHERE s.version_read IS NOT NULL
   AND COALESCE(b.version, 0) <> s.version_read
 ORDER BY s.account_id, s.currency_code
 LIMIT 1
