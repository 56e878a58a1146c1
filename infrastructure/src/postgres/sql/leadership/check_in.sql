-- $1 owner, $2 milliseconds, $3 where it runs. Gives all live consumers. One's own row is locked
-- first and others' expired rows only if nobody has them, so that two who check in can't wait for
-- each other.
WITH mine AS (
    INSERT INTO consumers (owner, live_until, name)
    VALUES ($1, clock_timestamp() + $2 * interval '1 millisecond', $3)
    ON CONFLICT (owner) DO UPDATE SET live_until = EXCLUDED.live_until
    RETURNING owner
),
ended AS (
    SELECT other.owner
      FROM mine, consumers other
     WHERE other.owner <> mine.owner
       AND other.live_until <= clock_timestamp()
       FOR UPDATE OF other SKIP LOCKED
),
swept AS (
    DELETE FROM consumers WHERE owner IN (SELECT owner FROM ended)
)
SELECT owner FROM mine
 UNION ALL
SELECT other.owner
  FROM consumers other
 WHERE other.owner <> $1 AND other.live_until > clock_timestamp()
 ORDER BY owner
