#!/usr/bin/env bash
# The offset hint and the leader's finalise meet on the same rows: which form of UPDATE keeps
# every row? Needs psql; makes a database of its own and drops it.
#     tests/bench/change_log/race.sh [DATABASE_URL]     (or AXS_TEST_DATABASE_URL; no ?parameters)
set -euo pipefail
ADMIN=${1:-${AXS_TEST_DATABASE_URL:?give a database URL}}
DB=axs_bench_race_$$
U=${ADMIN%/*}/$DB
trap 'psql -qAtX "$ADMIN" -c "DROP DATABASE IF EXISTS $DB WITH (FORCE)"' EXIT
psql -qAtX "$ADMIN" -c "CREATE DATABASE $DB"
psql -qAtX "$U" <<'S'
create table st(shard_id int, account_id bigint, k text, status smallint, off bigint, unique(shard_id,account_id,k)) partition by range(shard_id);
create table st0 partition of st for values from (0) to (12) with (fillfactor=50);
create table st1 partition of st for values from (12) to (24) with (fillfactor=50);
insert into st select i%24, i, 'k'||i, 0, null from generate_series(1,2000) i;
analyze st;
S
W="set jit=off; set plan_cache_mode=force_custom_plan; set enable_hashjoin=off; set enable_mergejoin=off; set enable_seqscan=off; create temp table s(shard_id int, account_id bigint, k text); insert into s select i%24, i,'k'||i from generate_series(1,1000) i order by 1,2,3;"
race() { # $1 = finalise statement
 psql -qAtX "$U" -c "update st set status=0, off=null" 
 (psql -qAtX "$U" -c "begin" -c "update st set off=1 where account_id between 100 and 199" -c "select pg_sleep(1)" -c "commit" >/dev/null) &
 sleep 0.4; psql -AtX "$U" -c "$W" -c "$1" | tail -1; wait; }
# The hint of 100 rows is open while 1,000 rows are finalised; it commits a second later.
echo "by key (must be 1000):"; race "update st l set status=1 from s where l.shard_id=s.shard_id and l.account_id=s.account_id and l.k=s.k and case when l.status=0 then true else false end"
# After the wait PostgreSQL checks the quals again on the new row version, whose ctid is another.
echo "by ctid (loses the 100 rows):"; race "with m as materialized (select l.ctid, l.tableoid t from s join st l on l.shard_id=s.shard_id and l.account_id=s.account_id and l.k=s.k where case when l.status=0 then true else false end) update st l set status=1 from m where l.ctid=m.ctid and l.tableoid=m.t"
echo "hint that waited for a finalise (must be 0):"
psql -qAtX "$U" -c "update st set status=0, off=null"
(psql -qAtX "$U" -c "begin" -c "update st set status=1 where account_id<=1000" -c "select pg_sleep(1)" -c "commit" >/dev/null) &
sleep 0.4; psql -AtX "$U" -c "$W" -c "update st l set off=9 from s where l.shard_id=s.shard_id and l.account_id=s.account_id and l.k=s.k and case when l.status=0 then true else false end" | tail -1; wait
