-- The same number gives the same row in every table, so that the tables can be filled side by side.

-- A UUIDv7 of a moment. $1 the number, $2 the moment.
CREATE FUNCTION bench_log_id(number bigint, moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE AS $$
    SELECT (substr(uuid_v7_floor(moment)::text, 1, 13)
            || '-7' || substr(md5(number::text), 1, 3)
            || '-8' || substr(md5(number::text), 4, 3)
            || '-' || substr(md5(number::text), 7, 12))::uuid
$$;

-- A key as callers make them: a UUID as text.
CREATE FUNCTION bench_key(number bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT md5('key ' || number)::uuid::text $$;

-- When the row of a number was logged: a microsecond after the one before it. $1 the number, $2 the first
-- number, $3 the moment of the first.
CREATE FUNCTION bench_moment(number bigint, first bigint, moment timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$ SELECT moment + (number - first) * interval '1 microsecond' $$;
