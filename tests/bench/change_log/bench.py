#!/usr/bin/env python3
"""Which schema should the change log have?  Compares the candidates and prints Markdown.

    tests/bench/change_log/bench.py [DATABASE_URL]      (or AXS_TEST_DATABASE_URL)

Needs Python 3.9, psql on the PATH and a role that may create databases. It works in a
database of its own (`axs_bench_change_log_<pid>`) and drops it at the end.

Every timed statement runs inside a server-side procedure that commits each batch itself and
is fed from an UNLOGGED input table, so neither the client nor the network is measured.
Candidates take turns within a round, so that a noisy neighbour hits all of them alike; read
the ratios of one run, never one absolute.
"""
import argparse, os, re, statistics, subprocess, sys, time

p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
p.add_argument("url", nargs="?", default=os.environ.get("AXS_TEST_DATABASE_URL"))
p.add_argument("--rounds", type=int, default=4, help="measured rounds (one warm-up comes before)")
p.add_argument("--base", type=int, default=150_000, help="final rows each candidate starts with")
p.add_argument("--relay-rows", type=int, default=1_000_000)
p.add_argument("--only", help="comma-separated candidates, e.g. B50,C50")
p.add_argument("--skip", default="", help="parts to leave out: relay,retention,plans")
a = p.parse_args()
if not a.url:
    p.error("give a database URL or set AXS_TEST_DATABASE_URL")

DB = f"axs_bench_change_log_{os.getpid()}"
m = re.match(r"^(postgres(?:ql)?://[^/?]*)(/[^?]*)?(\?.*)?$", a.url)
if not m:
    p.error("the URL must look like postgresql://user@host:port/database")
URL = f"{m[1]}/{DB}{m[3] or ''}"
START = time.time()


def psql(sql, url=None, check=True):
    r = subprocess.run(["psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-f", "-", url or URL],
                       input=sql, text=True, capture_output=True)
    if r.returncode and check:
        sys.exit(f"psql failed:\n{r.stderr}\n{sql[:3000]}")
    return r.stdout.strip()


def say(text):
    print(f"[{time.time() - START:5.0f} s] {text}", file=sys.stderr, flush=True)


# ---------------------------------------------------------------- candidates
# name -> (kind, fillfactor, extra index on the mutable table)
BRIN = "USING brin (logged_at) WITH (pages_per_range = 32, autosummarize = on)"
CANDIDATES = {}
for ff in (100, 70, 50):
    CANDIDATES[f"A{ff}"] = ("A", ff, None)
    CANDIDATES[f"B{ff}"] = ("B", ff, BRIN)
    CANDIDATES[f"C{ff}"] = ("C", ff, BRIN)
# What the relay's other indexes would cost the write path.
CANDIDATES["B50+partial"] = ("B", 50, "(shard_id, logged_at) WHERE status = 0")
CANDIDATES["B50+btree"] = ("B", 50, "(shard_id, logged_at)")
if a.only:
    CANDIDATES = {k: v for k, v in CANDIDATES.items() if k in a.only.split(",")}

SIZES = ((50, 6_000), (200, 18_000), (1000, 48_000))   # rows a commit, rows
ROUND = sum(n for _, n in SIZES)                          # 72,000: 12 x (1,000 + 5,000)

STATE_COLUMNS = """
    log_id          uuid        NOT NULL,
    account_id      bigint      NOT NULL,
    logged_at       timestamptz NOT NULL,
    kafka_offset    bigint,
    decided_at      timestamptz,
    shard_id        int         NOT NULL,
    kafka_partition int,
    status          smallint    NOT NULL,
    code            smallint,
    fingerprint     bytea       NOT NULL,
    idempotency_key text        NOT NULL COLLATE "C",
    reason          text"""
KEY = "shard_id, account_id, idempotency_key"
# Rows written "today" begin here; what is older belongs to the partition to be dropped.
CUT_MS = 1_790_000_000_000
CUT = f"{CUT_MS:012x}"
CUT = f"{CUT[:8]}-{CUT[8:]}-0000-0000-000000000000"


def ident(name):
    return name.lower().replace("+", "_")


def ddl(name):
    kind, ff, extra = CANDIDATES[name]
    s = ident(name)
    payload = ", payload bytea NOT NULL" if kind == "A" else ""
    out = [f"CREATE SCHEMA {s};",
           f"CREATE TABLE {s}.state ({STATE_COLUMNS}{payload}) PARTITION BY RANGE (shard_id);"]
    for i in range(4):
        # Autovacuum would fall on some candidate at random; each round vacuums all of them.
        out.append(f"CREATE TABLE {s}.state_{i} PARTITION OF {s}.state FOR VALUES FROM ({i*12}) TO ({i*12+12})"
                   f" WITH (fillfactor = {ff}, autovacuum_enabled = off);")
    out.append(f"CREATE UNIQUE INDEX ON {s}.state ({KEY});")
    if kind == "A":
        out.append(f"CREATE INDEX ON {s}.state (log_id);")
    if kind == "C":
        out.append(f"CREATE UNIQUE INDEX ON {s}.state (shard_id, log_id);")
    if extra:
        out.append(f"CREATE INDEX ON {s}.state {extra};")
    if kind != "A":
        # The log carries the key too: a look-up by log id goes log -> key -> state.
        out.append(f"""CREATE TABLE {s}.log (log_id uuid NOT NULL, account_id bigint NOT NULL,
            logged_at timestamptz NOT NULL, shard_id int NOT NULL, idempotency_key text NOT NULL COLLATE "C",
            payload bytea NOT NULL, PRIMARY KEY (log_id)) PARTITION BY RANGE (log_id);
            CREATE TABLE {s}.log_old PARTITION OF {s}.log FOR VALUES FROM (MINVALUE) TO ('{CUT}')
              WITH (autovacuum_enabled = off);
            CREATE TABLE {s}.log_new PARTITION OF {s}.log FOR VALUES FROM ('{CUT}') TO (MAXVALUE)
              WITH (autovacuum_enabled = off);""")
    return "\n".join(out)


def insert_stmt(name, lo, hi, logged="now()", status="0", decided="NULL"):
    kind, s = CANDIDATES[name][0], ident(name)
    cols = f"log_id, account_id, logged_at, shard_id, status, decided_at, fingerprint, idempotency_key"
    sel = f"log_id, account_id, {logged}, shard_id, {status}, {decided}, fingerprint, idempotency_key"
    src = f"s AS MATERIALIZED (SELECT * FROM input WHERE seq >= {lo} AND seq < {hi})"
    if kind == "A":
        return (f"WITH {src} INSERT INTO {s}.state ({cols}, payload) SELECT {sel}, payload FROM s ORDER BY {KEY}"
                f" ON CONFLICT ({KEY}) DO NOTHING")
    return (f"WITH {src}, n AS (INSERT INTO {s}.state ({cols}) SELECT {sel} FROM s ORDER BY {KEY}"
            f" ON CONFLICT ({KEY}) DO NOTHING RETURNING log_id)"
            f" INSERT INTO {s}.log (log_id, account_id, logged_at, shard_id, idempotency_key, payload)"
            f" SELECT s.log_id, s.account_id, {logged}, s.shard_id, s.idempotency_key, s.payload"
            f" FROM s JOIN n USING (log_id) ORDER BY s.log_id")


def match(name):
    # CASE hides the status test from the planner: statistics from a moment without INIT rows
    # would else promise one row.
    init = "AND CASE WHEN l.status = 0 THEN true ELSE false END"
    if CANDIDATES[name][0] == "C":
        return f"l.shard_id = s.shard_id AND l.log_id = s.log_id {init}"
    return ("l.shard_id = s.shard_id AND l.account_id = s.account_id"
            f" AND l.idempotency_key = s.idempotency_key {init}")


def hint_stmt(name):
    return (f"UPDATE {ident(name)}.state l SET kafka_partition = s.kafka_partition, kafka_offset = s.kafka_offset"
            f" FROM staging s WHERE {match(name)}")


def final_stmt(name):
    return (f"UPDATE {ident(name)}.state l SET status = s.status, code = s.code, kafka_partition = s.kafka_partition,"
            f" kafka_offset = s.kafka_offset, reason = s.reason, decided_at = now()"
            f" FROM staging s WHERE {match(name)} AND l.fingerprint = s.fingerprint")


STAGING = """CREATE TEMP TABLE staging (shard_id int, account_id bigint, idempotency_key text COLLATE "C", log_id uuid,
  fingerprint bytea, status smallint, code smallint, kafka_partition int, kafka_offset bigint, reason text);"""
FILL = ("INSERT INTO staging SELECT shard_id, account_id, idempotency_key, log_id, fingerprint,"
        " CASE WHEN seq % 50 = 0 THEN 2 ELSE 1 END, CASE WHEN seq % 50 = 0 THEN 7 ELSE 0 END, shard_id / 4, seq,"
        " CASE WHEN seq % 50 = 0 THEN 'insufficient available funds' END")
# The writer reaches the rows by the key's index at every batch size: a hash join that reads a
# whole partition looks cheaper to the planner only while the table is small.
WRITER = """SET jit = off; SET plan_cache_mode = force_custom_plan; SET synchronous_commit = on;
SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;"""
API = "SET jit = off; SET plan_cache_mode = force_custom_plan; SET synchronous_commit = on;"


def procs(name):
    s = ident(name)
    head = "LANGUAGE plpgsql AS $$ DECLARE t timestamptz; w pg_lsn; n bigint; lo bigint;"
    batch = f"""GET DIAGNOSTICS n = ROW_COUNT; COMMIT;
      ms := ms + extract(epoch FROM clock_timestamp() - t) * 1000; row_n := row_n + n;
      wal := wal + (pg_current_wal_insert_lsn() - w);"""
    out = "INOUT row_n bigint, INOUT ms float8, INOUT wal numeric"
    return f"""
CREATE PROCEDURE {s}.ins(from_ bigint, to_ bigint, size_ int, {out}) {head}
BEGIN lo := from_;
  WHILE lo < to_ LOOP
    w := pg_current_wal_insert_lsn(); t := clock_timestamp();
    {insert_stmt(name, "lo", "lo + size_")}; {batch}
    lo := lo + size_;
  END LOOP; END $$;
CREATE PROCEDURE {s}.hint(from_ bigint, to_ bigint, {out}) {head}
BEGIN lo := from_;
  WHILE lo < to_ LOOP
    TRUNCATE staging; {FILL} FROM input WHERE seq >= lo AND seq < lo + 1000 ORDER BY {KEY}; COMMIT;
    w := pg_current_wal_insert_lsn(); t := clock_timestamp();
    {hint_stmt(name)}; {batch}
    lo := lo + 2000;     -- half of the rows: consumers often are faster than the hint
  END LOOP; END $$;
CREATE PROCEDURE {s}.fin(from_ bigint, to_ bigint, {out}) {head}
BEGIN
  FOR p IN 0..11 LOOP    -- a batch is one Kafka partition's, as the single writer has it
    TRUNCATE staging; {FILL} FROM input WHERE seq >= from_ AND seq < to_ AND seq % 12 = p ORDER BY {KEY}; COMMIT;
    w := pg_current_wal_insert_lsn(); t := clock_timestamp();
    {final_stmt(name)}; {batch}
  END LOOP; END $$;"""


def stats(name):
    # n_tup_ins of the partitions' counters says nothing here; updates and HOT updates do.
    return ("SELECT pg_stat_force_next_flush(); SELECT 'stat', sum(n_tup_upd), sum(n_tup_hot_upd)"
            f" FROM pg_stat_user_tables WHERE schemaname = '{ident(name)}' AND relname LIKE 'state%';")


def input_rows(lo, hi, ms0, table="input"):
    """seq fixes everything: the run is the same every time."""
    return f"""INSERT INTO {table}
SELECT seq, (lpad(to_hex({ms0} + seq), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid,
  (('x' || substr(h, 1, 7))::bit(28)::int % 2083)::bigint * 48 + shard, shard, md5('key' || seq)::uuid::text,
  substr(sha256(h::bytea), 1, 17),
  substr(sha512(('a' || h)::bytea) || sha512(('b' || h)::bytea) || sha512(('c' || h)::bytea) || sha512(('d' || h)::bytea), 1, 220)
FROM (SELECT seq, md5('axs' || seq) AS h, ((seq % 12) * 4 + ('x' || substr(md5('s' || seq), 1, 2))::bit(8)::int % 4)::int AS shard
      FROM generate_series({lo}, {hi} - 1) seq) g;"""


result = {}     # (candidate, measure) -> [value per round]


def put(name, what, value, round_no):
    if round_no > 0:
        result.setdefault((name, what), []).append(value)


def med(name, what):
    v = result.get((name, what))
    return statistics.median(v) if v else None


def spread(name, what):
    v = result.get((name, what))
    return (max(v) - min(v)) / statistics.median(v) if v else 0


def one_round(name, r):
    s, lo = ident(name), a.base + r * ROUND
    script, tags = [STAGING, API], []
    at = lo
    for size, n in SIZES:
        script.append(f"CALL {s}.ins({at}, {at + n}, {size}, 0, 0, 0);")
        tags.append((f"ins{size}", n))
        at += n
    script += [stats(name), WRITER, f"CALL {s}.hint({lo}, {lo + ROUND}, 0, 0, 0);", stats(name),
               f"CALL {s}.fin({lo}, {lo + 12000}, 0, 0, 0);", stats(name),
               f"CALL {s}.fin({lo + 12000}, {lo + ROUND}, 0, 0, 0);", stats(name)]
    tags += [("hint", ROUND // 2), ("fin1000", 12000), ("fin5000", ROUND - 12000)]
    # Look-up by log id, 1,000 at a time (the client's query, the redelivery of results).
    q = {"A": f"SELECT count(l.status) FROM i LEFT JOIN {s}.state l USING (log_id)",
         "B": f"SELECT count(l.status) FROM i JOIN {s}.log g USING (log_id) JOIN {s}.state l ON l.shard_id = g.shard_id"
              " AND l.account_id = g.account_id AND l.idempotency_key = g.idempotency_key",
         "C": f"SELECT count(l.status) FROM i JOIN {s}.state l ON l.shard_id = i.shard_id AND l.log_id = i.log_id"}[CANDIDATES[name][0]]
    script.append(f"""CREATE TEMP TABLE i AS SELECT log_id, shard_id FROM input WHERE seq >= {lo} AND seq < {lo + 72000}
      AND seq % 72 = 0; ANALYZE i;
      DO $$ DECLARE n int; BEGIN FOR k IN 1..2 LOOP {q} INTO n; END LOOP; END $$;
      SELECT 'clock', extract(epoch FROM clock_timestamp()) * 1000;
      {q};
      SELECT 'clock', extract(epoch FROM clock_timestamp()) * 1000;
      VACUUM {s}.state;
      SELECT 'clock', extract(epoch FROM clock_timestamp()) * 1000;""")
    lines = [l for l in psql("\n".join(script)).splitlines() if l]
    calls = [l.split("|") for l in lines if re.match(r"^\d+\|[\d.e+-]+\|\d+$", l)]
    stat = [[int(x) for x in l.split("|")[1:]] for l in lines if l.startswith("stat|")]
    clock = [float(l.split("|")[1]) for l in lines if l.startswith("clock|")]
    for (tag, want), (n, ms, wal) in zip(tags, calls):
        # A statement that misses rows would look fast.
        if int(n) != want:
            sys.exit(f"{name} {tag}: {n} rows instead of {want}")
        put(name, tag, want / float(ms), r)
        put(name, tag + "_wal", float(wal) / want, r)
    for i, tag in enumerate(("hint", "fin1000", "fin5000")):
        upd, hot = (stat[i + 1][j] - stat[i][j] for j in (0, 1))
        put(name, tag + "_hot", 100 * hot / upd, r)
    put(name, "lookup", clock[1] - clock[0], r)
    put(name, "vacuum", clock[2] - clock[1], r)


def ratio(name, what, base):
    """Median of the ratios within each round: what slows a whole round falls out."""
    x, y = result[(name, what)], result[(base, what)]
    return statistics.median(i / j for i, j in zip(x, y))


def size_of(name):
    s = ident(name)
    rows = a.base + (a.rounds + 1) * ROUND
    heap, log, idx = psql(f"""SELECT sum(pg_table_size(c.oid)) FILTER (WHERE relname LIKE 'state%'),
      coalesce(sum(pg_table_size(c.oid)) FILTER (WHERE relname LIKE 'log%'), 0), sum(pg_indexes_size(c.oid)) FROM pg_class c
      JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = '{s}' AND relkind = 'r';""").split("|")
    put(name, "heap", int(heap) / rows, 1)
    put(name, "log", int(log) / rows, 1)
    put(name, "index", int(idx) / rows, 1)


def timed(statements):
    """[(ms, wal)] of statements run one by one in one session, client round trip excluded."""
    mark = "SELECT 'm', extract(epoch FROM clock_timestamp()) * 1000, pg_current_wal_insert_lsn() - '0/0';"
    out = psql(API + mark + "".join(f"{x};\n{mark}\n" for x in statements))
    marks = [tuple(map(float, l.split("|")[1:])) for l in out.splitlines() if l.startswith("m|")]
    return [(b[0] - c[0], b[1] - c[1]) for c, b in zip(marks, marks[1:])]


def retention(name):
    kind, s = CANDIDATES[name][0], ident(name)
    # Each partition in slices of what it holds, oldest first: no long transaction, no long lock.
    deletes = []
    for i in range(4):
        for _ in range(max(1, a.base // 40_000)):
            deletes.append(f"""DELETE FROM {s}.state_{i} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {s}.state_{i}
              WHERE logged_at < now() - interval '12 hours' AND status <> 0 LIMIT 10000))""")
    t = timed(deletes)
    put(name, "del", sum(x[0] for x in t), 1)
    put(name, "del_wal", sum(x[1] for x in t), 1)
    put(name, "del_vacuum", timed([f"VACUUM {s}.state"])[0][0], 1)
    if kind != "A":
        put(name, "drop", timed([f"DROP TABLE {s}.log_old"])[0][0], 1)


# ---------------------------------------------------------------- the relay's question
def relay():
    """One narrow state table that has lived: inserted and finalised in time order, the oldest
    half expired and vacuumed, filled again, the last 20,000 rows INIT."""
    n, chunk = a.relay_rows, 20_000
    total = n + n // 2
    psql(f"""CREATE SCHEMA relay; CREATE TABLE relay.state ({STATE_COLUMNS}) PARTITION BY RANGE (shard_id);""" + "".join(
        f"CREATE TABLE relay.state_{i} PARTITION OF relay.state FOR VALUES FROM ({i*12}) TO ({i*12+12})"
        f" WITH (fillfactor = 50, autovacuum_enabled = off);" for i in range(4)) + f"""
      CREATE UNIQUE INDEX ON relay.state ({KEY}); CREATE INDEX brin_i ON relay.state {BRIN};
      CREATE PROCEDURE relay.live(from_ bigint, to_ bigint) LANGUAGE plpgsql AS $$ BEGIN
        WHILE from_ < to_ LOOP
          -- a second holds 1,000 rows; rows of one commit share their logged_at, as with now()
          INSERT INTO relay.state (log_id, account_id, logged_at, shard_id, status, fingerprint, idempotency_key)
          SELECT (lpad(to_hex({CUT_MS} + seq), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid,
            seq % 100000, timestamptz '2026-01-01' + (seq / 200) * interval '200 ms',
            (seq % 12) * 4 + seq / 12 % 4, 0, substr(sha256(h::bytea), 1, 17), md5('r' || seq)::uuid::text
          FROM (SELECT seq, md5('axs' || seq) h FROM generate_series(from_, from_ + {chunk} - 1) seq) g;
          COMMIT;
          IF from_ + {chunk} < to_ THEN
            FOR k IN 0..3 LOOP   -- in four steps, so that pruning finds room as it does in life
              UPDATE relay.state SET status = 1, code = 0, decided_at = now(), kafka_offset = 1, kafka_partition = shard_id / 4
              WHERE logged_at >= timestamptz '2026-01-01' + (from_ / 200) * interval '200 ms' AND status = 0 AND shard_id % 4 = k;
              COMMIT;
            END LOOP;
          END IF;
          from_ := from_ + {chunk};
        END LOOP; END $$;""")
    top = f"timestamptz '2026-01-01' + {{}} * interval '1 ms'"

    def ask(end):
        # Partition 5: shards 20..23. The mark stands 40,000 rows back: half of what lies above it is final.
        low, high = top.format(end - 2 * chunk), top.format(end - 2000)
        return f"""SELECT count(*) FROM (SELECT log_id FROM relay.state WHERE shard_id = ANY ('{{20,21,22,23}}')
          AND status = 0 AND logged_at >= {low} AND logged_at < {high} ORDER BY logged_at, log_id LIMIT 1000) x"""

    rows = []

    def measure(label, end):
        q = ask(end)
        ms = sorted(x[0] for x in timed([q] * 9)[2:])
        plan = psql(API + f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, SUMMARY OFF) {q};")
        node = re.search(r"((?:Bitmap Heap|Index Only|Index|Seq) Scan)[^\n]*", plan)[1]
        hit = re.search(r"Buffers: ([^\n]*)", plan)[1]
        pages = sum(int(x) for x in re.findall(r"(?:hit|read)=(\d+)", hit))
        rows.append((label, node, pages, statistics.median(ms)))

    def variants(state, end):
        # autosummarize is for the autovacuum worker, which is off here: VACUUM summarises.
        measure(f"BRIN(logged_at), {state}", end)
        for label, index in (("btree(shard_id, logged_at)", "(shard_id, logged_at)"),
                             ("partial btree(shard_id, logged_at) WHERE status = 0", "(shard_id, logged_at) WHERE status = 0")):
            psql(f"DROP INDEX IF EXISTS relay.brin_i; CREATE INDEX other_i ON relay.state {index}; ANALYZE relay.state;")
            measure(f"{label}, {state}", end)
            size = int(psql("SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'relay.other_i'::regclass;"))
            rows[-1] += (size / 1e6,)
            psql("DROP INDEX relay.other_i;")

    psql(f"{API} CALL relay.live(0, {n}); VACUUM ANALYZE relay.state;")
    say("relay: first million")
    measure("BRIN(logged_at), fresh", n)
    # Retention passes, the freed room is filled again: does BRIN survive it?
    psql(f"""UPDATE relay.state SET status = 1 WHERE status = 0;
      DELETE FROM relay.state WHERE logged_at < {top.format(n // 2)}; VACUUM relay.state;
      {API} CALL relay.live({n}, {total}); VACUUM ANALYZE relay.state;""")
    say("relay: churned")
    variants("after retention", total)
    print("\n### The relay's question: 1,000 INIT rows of one Kafka partition, in order, above the low-water mark\n")
    print("| index | plan node | pages | median ms | index MB |\n|---|---|---:|---:|---:|")
    for label, node, pages, ms, *size in rows:
        print(f"| {label} | {node} | {pages} | {ms:.2f} | {f'{size[0]:.1f}' if size else '<0.3'} |")


def plans():
    """The finalise statement must keep its plan from 1 to 20,000 rows, whatever the statistics say."""
    print("\n### The finalise statement's plan by batch size (statistics without one INIT row)\n")
    print("| candidate | staged rows | plan | plain settings, for comparison |\n|---|---:|---|---|")
    for name in [c for c in ("A50", "B50", "C50") if c in CANDIDATES]:
        for n in (1, 200, 1000, 5000, 20000):
            cell = []
            for settings in (WRITER, API):
                plan = psql(f"{settings} {STAGING} {FILL} FROM input WHERE seq < {n}; EXPLAIN (COSTS OFF) {final_stmt(name)};")
                join = re.search(r"(Nested Loop|Hash Join|Merge Join)", plan)[1]
                seq = "Seq Scan on state" in plan
                idx = re.search(r"Index Scan using \S+", plan) is not None
                cell.append(f"{join}, {'index' if idx else 'no index'}{', reads whole partitions' if seq else ''}")
            print(f"| {name} | {n} | {cell[0]} | {cell[1]} |")


def table(title, cols, fmt):
    base = next((c for c in ("B50", "B70", "B100") if c in CANDIDATES), next(iter(CANDIDATES)))
    print(f"\n### {title}\n")
    print("| candidate | " + " | ".join(h for h, _ in cols) + " |\n|---|" + "---:|" * len(cols))
    for name in CANDIDATES:
        print(f"| {name} | " + " | ".join(fmt(name, k, base) for _, k in cols) + " |")


def main():
    psql(f"CREATE DATABASE {DB};", a.url)
    try:
        run()
    finally:
        psql(f"DROP DATABASE IF EXISTS {DB} WITH (FORCE);", a.url, check=False)


def run():
    psql("""CREATE UNLOGGED TABLE input (seq bigint PRIMARY KEY, log_id uuid, account_id bigint, shard_id int,
      idempotency_key text COLLATE "C", fingerprint bytea, payload bytea) WITH (autovacuum_enabled = off);""")
    psql(input_rows(0, a.base, CUT_MS - 86_400_000) + input_rows(a.base, a.base + (a.rounds + 1) * ROUND, CUT_MS)
         + "VACUUM ANALYZE input;")
    say("input ready")
    for name in CANDIDATES:
        psql(ddl(name) + procs(name) + API + "".join(
            insert_stmt(name, lo, lo + 10_000, f"now() - interval '1 day' + {lo} * interval '1 ms'", "1", "now()") + ";"
            for lo in range(0, a.base, 10_000)))
        # Statistics from a moment without INIT rows: the trap the statements must survive.
        psql(f"VACUUM ANALYZE {ident(name)}.state;" + (f"VACUUM ANALYZE {ident(name)}.log;" if CANDIDATES[name][0] != "A" else ""))
    # From here on the warm-up round pays the full-page images, not the measured ones.
    psql("CHECKPOINT;", check=False)
    say("base rows ready")
    for r in range(a.rounds + 1):
        # Every round starts with another candidate.
        names = list(CANDIDATES)
        k = r * 4 % len(names)
        for name in names[k:] + names[:k]:
            one_round(name, r)
        say(f"round {r} done")
    for name in CANDIDATES:
        size_of(name)

    print("Thousand rows/s (median of the rounds; in brackets the median of the ratios to B50 within each round).")
    rate = lambda n, k, b: f"{med(n, k):.0f} ({ratio(n, k, b):.2f})"
    table("Rates, thousand rows/s", [("insert 50/commit", "ins50"), ("insert 200", "ins200"), ("insert 1,000", "ins1000"),
          ("offset hint 1,000", "hint"), ("finalise 1,000", "fin1000"), ("finalise 5,000", "fin5000")], rate)
    noise = [spread(n, k) for n in CANDIDATES for k in ("ins50", "ins200", "ins1000", "hint", "fin1000", "fin5000")]
    print(f"\nSpread (max - min over median) of these figures: median {100 * statistics.median(noise):.0f} %, worst {100 * max(noise):.0f} %.")
    table("HOT share, WAL, size, care", [("HOT % hint", "hint_hot"), ("HOT % fin 1,000", "fin1000_hot"), ("HOT % fin 5,000", "fin5000_hot"),
          ("WAL B/row insert 1,000", "ins1000_wal"), ("WAL hint", "hint_wal"), ("WAL fin 5,000", "fin5000_wal"),
          ("mutable table B/row", "heap"), ("log B/row", "log"), ("index B/row", "index"), ("look-up of 1,000 by log id, ms", "lookup"), ("VACUUM a round, ms", "vacuum")],
          lambda n, k, b: f"{med(n, k):.1f}" if k == "lookup" else f"{med(n, k):.0f}")
    # The life of one row: insert at 1,000, half a hint, finalise at 5,000.
    print("\n### One row's whole life (insert at 1,000 + half a hint + finalise at 5,000)\n\n| candidate | µs a row | ratio to B50 | WAL B a row |\n|---|---:|---:|---:|")
    for n in CANDIDATES:
        result[(n, "life")] = [1000 / i + 500 / h + 1000 / f for i, h, f in
                               zip(*(result[(n, k)] for k in ("ins1000", "hint", "fin5000")))]
    b = "B50" if "B50" in CANDIDATES else next(iter(CANDIDATES))
    for n in CANDIDATES:
        w = med(n, "ins1000_wal") + med(n, "hint_wal") / 2 + med(n, "fin5000_wal")
        print(f"| {n} | {med(n, 'life'):.1f} | {ratio(n, 'life', b):.2f} | {w:.0f} |")
    if "plans" not in a.skip:
        plans()
    if "retention" not in a.skip:
        for name in CANDIDATES:
            retention(name)
        say("retention done")
        table(f"Retention of {a.base:,} expired rows", [("DELETE in batches, ms", "del"), ("WAL MB", "del_wal"),
              ("VACUUM after, ms", "del_vacuum"), ("DROP payload partition, ms", "drop")],
              lambda n, k, b: "-" if med(n, k) is None else f"{med(n, k) / (1e6 if k == 'del_wal' else 1):.1f}")
    if "relay" not in a.skip:
        relay()
    say("done")


main()
