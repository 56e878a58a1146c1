# shellcheck shell=bash
# The private PostgreSQL: its folder, its user, start, stop and readiness.

POSTGRES_LINK="$SERVERS_HOME/postgres"
POSTGRES_LOG="$LOG_DIR/postgres.log"
# Also the fallback that a checkout under /root needs: see postgres_home.
POSTGRES_OUTSIDE="/var/tmp/axs-$CHECKOUT_HASH"

# The newest installed version; Debian keeps the server's programs off the PATH.
postgres_bin() {
    local dir
    for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5,5nr); do
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
            printf '%s' "$dir"
            return 0
        fi
    done
    dir=$(pg_config --bindir 2>/dev/null) || return 1
    [ -x "$dir/initdb" ] || return 1
    printf '%s' "$dir"
}

# initdb and postgres refuse to run as root, so root hands over to the package's ordinary user.
as_postgres_user() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    else
        # From / because the user may not be allowed to enter the caller's folder.
        (cd / && exec runuser -u postgres -- "$@")
    fi
}

# The real folder of data and socket. Usually inside the checkout; outside it when the server's user
# can't get there, or when the socket's path would pass the 107 bytes that the kernel allows.
postgres_home() {
    if [ -e "$POSTGRES_LINK" ]; then
        (cd "$POSTGRES_LINK" && pwd -P)
        return
    fi
    if [ "${#POSTGRES_LINK}" -le 80 ] && as_postgres_user test -x "$SERVERS_HOME"; then
        mkdir "$POSTGRES_LINK"
    else
        mkdir "$POSTGRES_OUTSIDE" ||
            fail "$POSTGRES_OUTSIDE exists but does not belong to this checkout: move it away"
        ln -s "$POSTGRES_OUTSIDE" "$POSTGRES_LINK"
    fi
    if [ "$(id -u)" -eq 0 ]; then chown postgres: "$POSTGRES_LINK/"; fi
    (cd "$POSTGRES_LINK" && pwd -P)
}

# One role, a superuser: tests create databases, end backends of others and read settings.
postgres_create() {
    local home=$1 bin=$2 password_file
    [ ! -s "$home/data/PG_VERSION" ] || return 0
    say "creating the PostgreSQL data folder $home/data"
    password_file="$home/password"
    printf 'axs\n' >"$password_file"
    chmod 644 "$password_file"
    # An initdb that was interrupted leaves a folder that initdb then refuses.
    rm -rf "$home/data"
    as_postgres_user "$bin/initdb" --pgdata="$home/data" --username=axs --pwfile="$password_file" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums >>"$POSTGRES_LOG" 2>&1 ||
        fail "initdb failed; see $POSTGRES_LOG"
    rm -f "$password_file"
    printf "include = 'axs.conf'\n" >>"$home/data/postgresql.conf"
}

postgres_ready() {
    "$(postgres_bin)/pg_isready" -q -t 2 -h 127.0.0.1 -p "$POSTGRES_PORT"
}

# A killed server leaves lock files with its pid. PostgreSQL passes over them once that process is
# gone, but takes one for alive that has ended and was not yet collected by its parent, which in a
# container may never happen. Such a process can't write: its lock files are removed.
postgres_bury() {
    local home=$1 pid tries
    pid=$(head -n 1 "$home/data/postmaster.pid" 2>/dev/null) || return 0
    for tries in {1..20}; do
        [ -d "/proc/$pid" ] || return 0
        ! start_ticks "$pid" >/dev/null || return 0
        [ "$tries" -eq 20 ] || sleep 0.1
    done
    rm -f "$home/data/postmaster.pid" "$home/.s.PGSQL.$POSTGRES_PORT.lock"
}

postgres_start() {
    local home bin
    bin=$(postgres_bin) || fail "PostgreSQL is not installed"
    home=$(postgres_home)
    postgres_create "$home" "$bin"
    require_free_port PostgreSQL "$POSTGRES_PORT"
    # Copied at each start, so that a changed file takes effect at the next one.
    install -m 644 "$SERVERS_SCRIPTS/postgres/axs.conf" "$home/data/axs.conf"
    # A quarter of the machine's memory, with which PostgreSQL's documentation says to begin; up to 8 GiB.
    awk '/^MemTotal:/ { mib = int($2 / 4096); printf "shared_buffers = %dMB\n", mib < 8192 ? mib : 8192 }' \
        /proc/meminfo >>"$home/data/axs.conf"
    postgres_bury "$home"
    say "starting PostgreSQL on 127.0.0.1:$POSTGRES_PORT"
    if [ "$(id -u)" -eq 0 ]; then
        # setpriv replaces itself, so that the recorded pid is the server's own.
        start_recorded postgres "$POSTGRES_LOG" setpriv --reuid=postgres --regid=postgres --init-groups \
            env -C / "$bin/postgres" -D "$home/data" -p "$POSTGRES_PORT" -k "$home"
    else
        start_recorded postgres "$POSTGRES_LOG" \
            "$bin/postgres" -D "$home/data" -p "$POSTGRES_PORT" -k "$home"
    fi
    # Recovery after a crash replays up to max_wal_size.
    await_ready postgres 120 "$POSTGRES_LOG" postgres_ready
}

# INT is PostgreSQL's fast shutdown: it ends sessions and writes a checkpoint.
postgres_stop() { stop_recorded postgres INT 60; }

postgres_url() { printf 'postgres://axs:axs@127.0.0.1:%s/postgres' "$POSTGRES_PORT"; }

# The folder goes percent-encoded into the place of the host. The port names the socket's file.
postgres_socket_url() {
    local home
    home=$(postgres_home)
    printf 'postgres://axs:axs@%s:%s/postgres' "${home//\//%2F}" "$POSTGRES_PORT"
}
