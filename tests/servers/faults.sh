#!/usr/bin/env bash
# Builds and runs the fault suite on the private servers, which rows of it stop, kill and empty.
# Nothing else may use them meanwhile. SEED=… draws other moments and another load; ROWS=a,b runs the
# rows whose names hold one of these.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."

[ "${1:-}" = inside ] || exec "$here/with_servers.sh" "$here/faults.sh" inside

echo '[faults] building (the first build takes minutes)' >&2
cargo build --locked -p axs-tests --bin faults >&2
cargo build --locked -p bootstrap --bin bootstrap-failpoints --features failpoints >&2
arguments=(--seed "${SEED:-1}")
[ -z "${ROWS:-}" ] || arguments+=(--rows "$ROWS")
"$("$here/target_dir.sh")/debug/faults" "${arguments[@]}"
