# shellcheck shell=bash
# Ports are picked once, at the first `up`, and remembered: addresses stay the same over restarts.

PORTS_FILE="$SERVERS_HOME/ports"

port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Candidates lie below the range from which the kernel takes ports for outgoing connections, else
# such a connection could hold a server's port while that server is down. The checkout's hash picks
# the first candidate, so that two checkouts rarely ask for the same ones.
pick_ports() {
    local name port picked=0
    local -a names=(POSTGRES_PORT REDIS_PORT KAFKA_PORT KAFKA_CONTROLLER_PORT)
    port=$((20000 + (16#${CHECKOUT_HASH:0:8} % 1190) * 10))
    : >"$PORTS_FILE.part"
    while [ "$picked" -lt "${#names[@]}" ]; do
        port=$((port + 1))
        [ "$port" -lt 32700 ] || port=20001
        port_answers "$port" && continue
        name=${names[$picked]}
        printf '%s=%s\n' "$name" "$port" >>"$PORTS_FILE.part"
        picked=$((picked + 1))
    done
    mv "$PORTS_FILE.part" "$PORTS_FILE"
}

load_ports() {
    [ -s "$PORTS_FILE" ] || pick_ports
    # shellcheck source=/dev/null
    . "$PORTS_FILE"
}

# A remembered port may have been taken by a stranger while our server was down.
require_free_port() {
    if port_answers "$2"; then
        fail "port $2, remembered for $1 in $PORTS_FILE, is used by another program: stop that program, or start over with make clean-servers"
    fi
}
