#!/usr/bin/env bash
# Runs all tests with the servers, then names those that skipped themselves. A test that can't run
# without the real Kafka appends one line "name<TAB>reason" to the file named in AXS_TEST_SKIPS.
# AXS_FORBID_SKIPS=1 makes skipped tests a failure, unless AXS_ALLOW_SKIPS=1 allows them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."

# Replaced rather than waited for: a signal to this process must reach the one that stops servers.
[ "${1:-}" = inside ] || exec "$here/with_servers.sh" "$here/test.sh" inside "$@"
shift

export AXS_TEST_SKIPS="$AXS_TEST_SERVERS/skips.tsv"
: >"$AXS_TEST_SKIPS"

# Black-box tests run the build with failpoints; made here, where its progress can be seen.
cargo build --locked -p bootstrap --bin bootstrap-failpoints --features failpoints

status=0
cargo test --workspace --locked "$@" || status=$?
# Rules left out by failpoints, each of which the simulation must notice.
[ "$#" -gt 0 ] ||
    cargo test -p axs-application --locked --features failpoints --test simulation breaks || status=$?

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
