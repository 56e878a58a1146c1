#!/usr/bin/env bash
# Stops the servers that `up` started and leaves their data. With arguments, only the named ones.
set -euo pipefail
# shellcheck source=tests/servers/servers.sh
. "$(dirname "$0")/servers.sh"

[ -d "$SERVERS_HOME" ] || exit 0
lock_servers
load_ports
[ $# -gt 0 ] || set -- "${SERVERS[@]}"
# The broker first, for it takes longest; each stop is bounded.
for name in kafka mock redis postgres; do
    case " $* " in *" $name "*) ;; *) continue ;; esac
    if pid=$(live_pid "$name"); then
        say "stopping $name (pid $pid)"
        "${name}_stop"
    fi
done
