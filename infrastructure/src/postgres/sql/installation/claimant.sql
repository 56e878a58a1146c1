-- Who lays claim to topics. Read before there is a layout, so no part of it may come from there; and a
-- command that failed half-way must find its own claim again, so nothing of it changes with a restart.
SELECT concat_ws('/', system_identifier, oid) AS id, datname::text AS name
  FROM pg_control_system(), pg_database
 WHERE datname = current_database()
