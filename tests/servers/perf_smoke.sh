#!/usr/bin/env bash
# Compares the bulk path with the reference form in one short run; see
# infrastructure/examples/bulk_path/smoke.rs. A debug build, as the tests have made it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
cd "$here/../.."

[ "${1:-}" = inside ] || exec "$here/with_servers.sh" "$here/perf_smoke.sh" inside

# With the whole workspace, so that no dependency is built with other features than for the tests.
cargo build --workspace --locked --features axs-infrastructure/reference-form --example bulk_path >&2
"$("$here/target_dir.sh")/debug/examples/bulk_path" --smoke
