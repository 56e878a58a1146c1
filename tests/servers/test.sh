#!/usr/bin/env bash
# Runs all tests with the servers, then names those that skipped themselves. A test that can't run
# without the real Kafka appends one line "name<TAB>reason" to the file named in AXS_TEST_SKIPS.
# AXS_FORBID_SKIPS=1 makes skipped tests a failure, unless AXS_ALLOW_SKIPS=1 allows them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."

# shellcheck source=tests/servers/place.sh
. "$here/place.sh"
make_folders
export AXS_TEST_SKIPS="$SERVERS_HOME/skips.tsv"
: >"$AXS_TEST_SKIPS"

status=0
"$here/with_servers.sh" cargo test --workspace --locked "$@" || status=$?

skipped=$(wc -l <"$AXS_TEST_SKIPS")
if [ "$skipped" -eq 0 ]; then
    echo '[test] no test was skipped for want of real Kafka' >&2
else
    echo "[test] skipped for want of real Kafka: $skipped" >&2
    sed -e 's/\t/: /' -e 's/^/[test]   /' "$AXS_TEST_SKIPS" >&2
    if [ "${AXS_FORBID_SKIPS:-}" = 1 ] && [ "${AXS_ALLOW_SKIPS:-}" != 1 ]; then
        echo '[test] skipped tests are a failure here; AXS_ALLOW_SKIPS=1 allows them' >&2
        [ "$status" -ne 0 ] || status=1
    fi
fi
exit "$status"
