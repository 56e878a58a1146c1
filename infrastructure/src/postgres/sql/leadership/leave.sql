-- $1 owner.
DELETE FROM consumers WHERE owner = $1
