-- When this database was set up: about when its log began.
SELECT min(installed_on) FROM _sqlx_migrations
