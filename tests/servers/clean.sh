#!/usr/bin/env bash
# Stops the servers and removes everything they left, the folder outside the checkout included.
set -euo pipefail
"$(dirname "$0")/down.sh"
# shellcheck source=tests/servers/servers.sh
. "$(dirname "$0")/servers.sh"

if [ -L "$POSTGRES_LINK" ]; then
    outside=$(readlink "$POSTGRES_LINK")
    # Only the folder whose name we chose ourselves: a link may have been changed by hand.
    [ "$outside" = "$POSTGRES_OUTSIDE" ] || fail "$POSTGRES_LINK points to $outside, which is not ours to remove"
    rm -rf "$outside"
fi
rm -rf "$SERVERS_HOME"
say "removed $SERVERS_HOME"
