#!/usr/bin/env bash
# Prints where cargo puts what it builds; the environment or a config file may have moved it.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo metadata --locked --no-deps --format-version 1 |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
