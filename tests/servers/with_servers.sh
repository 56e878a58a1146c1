#!/usr/bin/env bash
# Runs a command with the servers up and .servers/env in its environment, then stops those servers
# that were started for it, on failure and on Ctrl-C too. The command's status is this script's.
# shellcheck disable=SC2317 # what looks unreachable is called by name or by a trap
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
[ $# -gt 0 ] || { echo "usage: with_servers.sh COMMAND [ARGUMENT...]" >&2; exit 2; }

started=$(mktemp)
child=''

stop_what_was_started() {
    trap '' INT TERM
    if [ -s "$started" ]; then
        mapfile -t names <"$started"
        "$here/down.sh" "${names[@]}" >&2 || true
    fi
    rm -f "$started"
}

# The command runs in a process group of its own, so that one signal reaches all it has started
# and so that this script outlives it.
forward() {
    [ -z "$child" ] || kill "-$1" -- "-$child" 2>/dev/null || true
    interrupted=$2
}

interrupted=''
trap stop_what_was_started EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
AXS_SERVERS_STARTED="$started" "$here/up.sh"
# shellcheck source=/dev/null
. "$here/../../.servers/env"

set -m
"$@" </dev/null &
child=$!
set +m
trap 'forward INT 130' INT
trap 'forward TERM 143' TERM

# wait returns early at each signal; the command is given the time it needs to end.
status=0
while kill -0 "$child" 2>/dev/null; do
    status=0
    wait "$child" || status=$?
done
# What a failed command left behind would hold connections to servers that are about to stop.
kill -TERM -- "-$child" 2>/dev/null || true
exit "${interrupted:-$status}"
