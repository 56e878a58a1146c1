#!/usr/bin/env bash
# Formatting, clippy and buf. A tool that is not installed is named in one line and passed over.
# With an argument, only that one: fmt, clippy or buf.
# shellcheck disable=SC2317 # what looks unreachable is called by name or by a trap
set -euo pipefail
cd "$(dirname "$0")/../.."

check_fmt() {
    cargo fmt --version >/dev/null 2>&1 || { echo '[lint] rustfmt is not installed: formatting not checked' >&2; return 0; }
    cargo fmt --all -- --check
}

check_clippy() {
    cargo clippy --version >/dev/null 2>&1 || { echo '[lint] clippy is not installed: not checked' >&2; return 0; }
    cargo clippy --workspace --all-targets --locked -- -D warnings
    # What only the build that is measured against has.
    cargo clippy --workspace --lib --bin bootstrap-reference --example bulk_path --locked \
        --features bootstrap/reference-form,axs-infrastructure/reference-form -- -D warnings
}

check_buf() {
    command -v buf >/dev/null || { echo '[lint] buf is not installed: proto files not checked' >&2; return 0; }
    (cd proto && buf lint)
}

status=0
for check in ${1:-fmt clippy buf}; do
    "check_$check" || { echo "[lint] $check failed" >&2; status=1; }
done
exit "$status"
