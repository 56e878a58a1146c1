# shellcheck shell=bash disable=SC2034 # names are for the scripts that source this
# Where everything lives. One ignored folder per checkout holds ports, data, logs and pids, so that
# several checkouts run beside each other and removing the folder leaves nothing behind.

SERVERS_SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
CHECKOUT=$(cd "$SERVERS_SCRIPTS/../.." && pwd -P)
SERVERS_HOME="$CHECKOUT/.servers"
RUN_DIR="$SERVERS_HOME/run"
LOG_DIR="$SERVERS_HOME/log"
ENV_FILE="$SERVERS_HOME/env"
CHECKOUT_HASH=$(printf '%s' "$CHECKOUT" | sha256sum | cut -c1-12)

# shellcheck source=tests/servers/say.sh
. "$SERVERS_SCRIPTS/say.sh"

make_folders() { mkdir -p "$RUN_DIR" "$LOG_DIR"; }

# One `up` or `down` at a time per checkout: two at once would start a server twice. The servers
# themselves are started with descriptor 9 closed, else they would hold the lock for ever.
lock_servers() {
    make_folders
    exec 9>"$SERVERS_HOME/lock"
    flock -w 300 9 || fail "another make up or make down has held $SERVERS_HOME/lock for 5 minutes"
}
