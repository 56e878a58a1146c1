-- Where the live consumers run.
SELECT owner, name
  FROM consumers
 WHERE name IS NOT NULL
   AND live_until > clock_timestamp()
