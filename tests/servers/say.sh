# shellcheck shell=bash
# How the scripts of this folder speak: always on stderr, because the standard output of
# `make demo` belongs to the program it runs.

say() { printf '[servers] %s\n' "$*" >&2; }

fail() {
    printf '[servers] error: %s\n' "$*" >&2
    exit 1
}

# Shouts what must not be overlooked among build output.
warn_loudly() {
    local line
    printf '\n[servers] ********************************************************************\n' >&2
    for line in "$@"; do printf '[servers] * %s\n' "$line" >&2; done
    printf '[servers] ********************************************************************\n\n' >&2
}
