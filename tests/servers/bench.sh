#!/usr/bin/env bash
# Builds and runs one measurement, the program bench_NAME of the tests crate, with the servers.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."

if [ "${2:-}" = inside ]; then
    cargo build --release --locked -p bootstrap --bins >&2
    cargo build --release --locked -p axs-tests --bin "bench_$1" >&2
    "$(tests/servers/target_dir.sh)/release/bench_$1"
else
    exec "$here/with_servers.sh" "$here/bench.sh" "${1:?which measurement?}" inside
fi
