#!/usr/bin/env bash
# One server at a time, for fault tests: control.sh start|stop|kill|pause|resume|pid NAME
# where NAME is postgres, redis, kafka or mock. Addresses stay the same, except the mock broker's.
set -euo pipefail
# shellcheck source=tests/servers/servers.sh
. "$(dirname "$0")/servers.sh"

action=${1:-} name=${2:-}
case " ${SERVERS[*]} " in *" $name "*) ;; *) fail "usage: control.sh start|stop|kill|pause|resume|pid NAME" ;; esac
lock_servers
load_ports

running_pid() { live_pid "$name" || fail "$name does not run"; }

# PostgreSQL's work is done by its backends, so they are stopped and woken with their parent.
with_children() {
    local pid=$1
    printf '%s\n' "$pid"
    tr ' ' '\n' <"/proc/$pid/task/$pid/children"
}

case $action in
    start) live_pid "$name" >/dev/null || "${name}_start" ;;
    stop) "${name}_stop" ;;
    kill)
        pid=$(running_pid)
        mapfile -t pids < <(with_children "$pid")
        kill -KILL "${pids[@]}" 2>/dev/null || true
        stop_recorded "$name" KILL 5
        ;;
    pause)
        pid=$(running_pid)
        mapfile -t pids < <(with_children "$pid")
        kill -STOP "${pids[@]}"
        ;;
    resume)
        pid=$(running_pid)
        mapfile -t pids < <(with_children "$pid")
        kill -CONT "${pids[@]}"
        ;;
    pid) running_pid && echo ;;
    *) fail "unknown action '$action'" ;;
esac
