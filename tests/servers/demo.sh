#!/usr/bin/env bash
# Builds and runs the demo. Nothing but the demo writes to standard output, so that its last line
# stays the JSON object that programs read.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."

# The servers come first: what the build needs is installed with them.
run_demo() {
    echo '[demo] building (the first build takes minutes)' >&2
    cargo build --release --locked -p bootstrap -p axs-tests --bins >&2
    "$(tests/servers/target_dir.sh)/release/demo"
}

if [ "${1:-}" = inside ]; then
    run_demo
else
    exec "$here/with_servers.sh" "$here/demo.sh" inside
fi
