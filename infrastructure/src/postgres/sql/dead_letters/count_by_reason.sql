-- How many entries match, by reason. $1 to $5 as in list.sql.
SELECT reason, count(*) AS entries
  FROM (
    SELECT reason
      FROM dead_letters
     WHERE ($1::smallint IS NULL OR $1 = 0)
       AND ($2::integer IS NULL OR partition = $2)
       AND ($3::text IS NULL OR reason = $3)
       AND ($4::bigint IS NULL OR record_key = convert_to($4::text, 'UTF8'))
       AND (NOT $5::boolean OR state = 0)
     UNION ALL
    SELECT 'PARKED'
      FROM parked_events
     WHERE ($1::smallint IS NULL OR $1 = 1)
       AND ($2::integer IS NULL OR partition = $2)
       AND ($3::text IS NULL OR $3 = 'PARKED')
       AND ($4::bigint IS NULL OR account_id = $4)
       AND (NOT $5::boolean OR state = 0)
  ) AS entry
 GROUP BY reason
 ORDER BY reason
