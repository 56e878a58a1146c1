#!/usr/bin/env bash
# Shows the servers of this checkout. Exits non-zero unless every private one runs and answers.
set -euo pipefail
# shellcheck source=tests/servers/servers.sh
. "$(dirname "$0")/servers.sh"

[ -s "$ENV_FILE" ] || fail "no servers are set up here: make up"
load_ports
show_table
# shellcheck source=/dev/null
. "$ENV_FILE"
wanted=()
[ "$AXS_TEST_DATABASE_KIND" = external ] || wanted+=(postgres)
[ "$AXS_TEST_REDIS_KIND" = external ] || wanted+=(redis)
case $AXS_TEST_KAFKA_KIND in apache) wanted+=(kafka) ;; mock) wanted+=(mock) ;; esac
failed=0
for name in "${wanted[@]}"; do
    if ! live_pid "$name" >/dev/null; then
        say "$name is down"
        failed=1
    elif ! "${name}_ready"; then
        say "$name runs but does not answer"
        failed=1
    fi
done
exit "$failed"
