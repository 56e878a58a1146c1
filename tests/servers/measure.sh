#!/usr/bin/env bash
# Builds for release and measures, with the servers. BENCH=part,of,names chooses scenarios; --quick
# is for a look. Nothing but the tables is written to standard output.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."

if [ "${1:-}" != inside ]; then
    exec "$here/with_servers.sh" "$here/measure.sh" inside "$@"
fi
shift
echo '[bench] building (the first build takes minutes)' >&2
cargo build --release --locked -p bootstrap -p axs-bench --bins >&2
# The consumer that ours is measured against; the same packages, so that dependencies are built once.
cargo build --release --locked -p bootstrap -p axs-bench --features bootstrap/reference-form \
    --bin bootstrap-reference >&2
[ -z "${BENCH:-}" ] || set -- "$@" --only "$BENCH"
"$("$here/target_dir.sh")/release/axs-bench" "$@"
