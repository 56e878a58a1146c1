-- $1 code, $2 decimals, $3 active. No row when it stands with other decimals, which never change.
--
-- What was before is read in the statement's snapshot: of two registrations at once, the later one may not
-- tell of the earlier one.
WITH before AS (
    SELECT active FROM currencies WHERE code = $1
)
INSERT INTO currencies AS standing (code, decimals, active) VALUES ($1, $2, $3)
ON CONFLICT (code) DO UPDATE SET active = EXCLUDED.active
 WHERE standing.decimals = EXCLUDED.decimals
RETURNING (SELECT active FROM before) AS was_active
