# shellcheck shell=bash
# Which process is ours. A pid alone is not proof: it may have been given to another program since.
# A record is two lines, the pid and the process's start time in ticks since boot; only a process
# that matches both is ever signalled.

pid_file() { printf '%s/%s.pid' "$RUN_DIR" "$1"; }

# Field 22 of /proc/PID/stat; the name in field 2 may hold spaces, so cut behind its bracket.
start_ticks() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086 # the fields are wanted as words
    set -- $stat
    # A zombie has ended already; nothing is left to stop.
    [ "$1" != Z ] || return 1
    printf '%s' "${20}"
}

record_pid() {
    local ticks
    ticks=$(start_ticks "$2") || return 1
    printf '%s\n%s\n' "$2" "$ticks" >"$(pid_file "$1")"
}

# Prints the pid when the recorded process still is the one that was started.
live_pid() {
    local file pid ticks
    file=$(pid_file "$1")
    [ -r "$file" ] || return 1
    { read -r pid && read -r ticks; } <"$file" || return 1
    [ "$(start_ticks "$pid")" = "$ticks" ] || return 1
    printf '%s' "$pid"
}

# Signals the recorded process and waits, bounded, until it is gone.
stop_recorded() {
    local name=$1 signal=$2 limit_s=$3 pid tenths=0
    pid=$(live_pid "$name") || { rm -f "$(pid_file "$name")"; return 0; }
    kill "-$signal" "$pid"
    # A stopped process takes no other signal than KILL until it is woken.
    kill -CONT "$pid" 2>/dev/null || true
    while live_pid "$name" >/dev/null; do
        tenths=$((tenths + 1))
        if [ "$tenths" -gt $((limit_s * 10)) ]; then
            say "$name (pid $pid) has not ended within ${limit_s} s: killing it"
            kill -KILL "$pid" 2>/dev/null || true
            sleep 0.5
            break
        fi
        sleep 0.1
    done
    rm -f "$(pid_file "$name")"
}

# Starts a program in a session of its own, so that Ctrl-C on `make` does not reach it, and records
# it. Usage: start_recorded NAME LOG_FILE PROGRAM [ARGUMENT...]
start_recorded() {
    local name=$1 log=$2 raw tries=0 deferred=''
    shift 2
    raw="$RUN_DIR/$name.starting"
    rm -f "$raw"
    # A signal between start and record would leave a server that nobody knows: it has to wait.
    trap 'deferred=INT' INT
    trap 'deferred=TERM' TERM
    # shellcheck disable=SC2016 # expanded by the inner shell
    setsid bash -c 'echo $$ >"$0.part" && mv "$0.part" "$0" && exec "$@"' "$raw" "$@" \
        </dev/null >>"$log" 2>&1 9>&- &
    until [ -s "$raw" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || fail "$name did not start; see $log"
        sleep 0.05 || true
    done
    record_pid "$name" "$(cat "$raw")" || fail "$name ended at once; the last lines of $log:
$(tail -n 15 "$log" 2>/dev/null)"
    rm -f "$raw"
    trap - INT TERM
    [ -z "$deferred" ] || kill "-$deferred" $$
}

# Asks until the server answers. Usage: await_ready NAME LIMIT_S LOG_FILE COMMAND [ARGUMENT...]
await_ready() {
    local name=$1 limit_s=$2 log=$3 began=$SECONDS
    shift 3
    until "$@"; do
        live_pid "$name" >/dev/null || fail "$name ended while starting; the last lines of $log:
$(tail -n 15 "$log" 2>/dev/null)"
        [ $((SECONDS - began)) -lt "$limit_s" ] ||
            fail "$name does not answer after ${limit_s} s; see $log"
        sleep 0.2
    done
}
