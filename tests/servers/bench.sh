#!/usr/bin/env bash
# Builds and runs one measurement, the example NAME of the infrastructure crate, with the servers.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."

if [ "${2:-}" = inside ]; then
    cargo run --release --locked -p axs-infrastructure --features reference-form --example "$1"
else
    exec "$here/with_servers.sh" "$here/bench.sh" "${1:?which measurement?}" inside
fi
