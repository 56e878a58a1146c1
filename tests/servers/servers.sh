# shellcheck shell=bash disable=SC2034 # names are for the scripts that source this
# All servers at one glance: what is private, what is given from outside, and the environment that
# tells the tests.

# shellcheck source=tests/servers/place.sh
. "$(dirname "${BASH_SOURCE[0]}")/place.sh"
# shellcheck source=tests/servers/pid.sh
. "$SERVERS_SCRIPTS/pid.sh"
# shellcheck source=tests/servers/port.sh
. "$SERVERS_SCRIPTS/port.sh"
# shellcheck source=tests/servers/postgres/server.sh
. "$SERVERS_SCRIPTS/postgres/server.sh"
# shellcheck source=tests/servers/redis/server.sh
. "$SERVERS_SCRIPTS/redis/server.sh"
# shellcheck source=tests/servers/kafka/server.sh
. "$SERVERS_SCRIPTS/kafka/server.sh"
# shellcheck source=tests/servers/mock/server.sh
. "$SERVERS_SCRIPTS/mock/server.sh"

SERVERS=(postgres redis kafka mock)

# An address given by the caller means a server that exists already. An address that is our own
# came from a sourced .servers/env and changes nothing.
is_external() {
    local given=$1 own
    shift
    [ -n "$given" ] || return 1
    for own in "$@"; do
        [ "$given" != "$own" ] || return 1
    done
}

postgres_is_external() { is_external "${AXS_TEST_DATABASE_URL:-}" "$(postgres_url)"; }
redis_is_external() { is_external "${AXS_TEST_REDIS_URL:-}" "$(redis_url)"; }
kafka_is_external() {
    # A mock's port dies with it: the address it had last is remembered in the environment's file.
    is_external "${AXS_TEST_KAFKA_BROKERS:-}" "127.0.0.1:$KAFKA_PORT" "$(mock_brokers)" \
        "$(sed -n 's/^export AXS_MOCK_BROKERS=//p' "$ENV_FILE" 2>/dev/null)"
}

# A given server that does not answer is named now rather than in the middle of a test. Only the
# connection is tried: which protocol and secrets lie behind it is the caller's affair.
# Usage: require_external NAME ADDRESS DEFAULT_PORT, the address being a URL or a list host:port,...
require_external() {
    local name=$1 place=$2 host port
    place=${place#*://}
    place=${place##*@}
    place=${place%%[/?,]*}
    host=${place%:*}
    port=$3
    case $place in
        # A socket's folder and an IPv6 address can't be tried by bash's TCP: taken on trust.
        '' | *%2[Ff]* | *'['*) return 0 ;;
        *:*) port=${place##*:} ;;
    esac
    # shellcheck disable=SC2016 # expanded by the inner shell
    timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$host" "$port" 2>/dev/null ||
        fail "$name at $host:$port, given in the environment, does not answer"
}

# The pid of a server that we started; a fault test may have restarted it meanwhile.
show_pid() { live_pid "$1" || printf '%s' '-'; }

put_variable() { printf 'export %s=%q\n' "$1" "$2"; }

# Usage: write_environment KIND_OF_KAFKA
write_environment() {
    local kafka_kind=$1
    # The address of a server of the caller's may hold a real password: for the owner only.
    rm -f "$ENV_FILE.part"
    install -m 600 /dev/null "$ENV_FILE.part"
    {
        echo '# Written by make up; source it in a shell to run tests by hand.'
        put_variable AXS_TEST_SERVERS "$SERVERS_HOME"
        put_variable AXS_TEST_SERVER_CONTROL "$SERVERS_SCRIPTS/control.sh"
        if postgres_is_external; then
            put_variable AXS_TEST_DATABASE_KIND external
            put_variable AXS_TEST_DATABASE_URL "$AXS_TEST_DATABASE_URL"
            put_variable AXS_TEST_DATABASE_SOCKET_URL "${AXS_TEST_DATABASE_SOCKET_URL:-}"
        else
            put_variable AXS_TEST_DATABASE_KIND private
            put_variable AXS_TEST_DATABASE_URL "$(postgres_url)"
            put_variable AXS_TEST_DATABASE_SOCKET_URL "$(postgres_socket_url)"
            put_variable AXS_TEST_POSTGRES_BIN "$(postgres_bin)"
            put_variable AXS_TEST_POSTGRES_DATA "$(postgres_home)/data"
            put_variable AXS_TEST_POSTGRES_PID_FILE "$(pid_file postgres)"
        fi
        if redis_is_external; then
            put_variable AXS_TEST_REDIS_KIND external
            put_variable AXS_TEST_REDIS_URL "$AXS_TEST_REDIS_URL"
        else
            put_variable AXS_TEST_REDIS_KIND private
            put_variable AXS_TEST_REDIS_URL "$(redis_url)"
            put_variable AXS_TEST_REDIS_PID_FILE "$(pid_file redis)"
        fi
        put_variable AXS_TEST_KAFKA_KIND "$kafka_kind"
        case $kafka_kind in
            external)
                put_variable AXS_TEST_KAFKA_BROKERS "$AXS_TEST_KAFKA_BROKERS"
                ;;
            apache)
                put_variable AXS_TEST_KAFKA_BROKERS "127.0.0.1:$KAFKA_PORT"
                put_variable AXS_TEST_KAFKA_DATA "$KAFKA_HOME/data"
                put_variable AXS_TEST_KAFKA_PID_FILE "$(pid_file kafka)"
                ;;
            mock)
                put_variable AXS_TEST_KAFKA_BROKERS "$(mock_brokers)"
                put_variable AXS_MOCK_BROKERS "$(mock_brokers)"
                put_variable AXS_TEST_KAFKA_CONTROL "$(mock_control)"
                put_variable AXS_TEST_KAFKA_PID_FILE "$(pid_file mock)"
                ;;
        esac
    } >"$ENV_FILE.part"
    mv "$ENV_FILE.part" "$ENV_FILE"
}

# An address as it may be shown: without its password.
# shellcheck disable=SC2001 # the shell's own substitution has no groups
without_password() { sed 's|://\([^:@/]*\):[^@]*@|://\1:***@|' <<<"$1"; }

show_row() { printf '[servers]   %-10s %-9s %-8s %s\n' "$@" >&2; }

show_table() (
    [ -s "$ENV_FILE" ] || fail "no servers are set up here: make up"
    # shellcheck source=/dev/null
    . "$ENV_FILE"
    show_row server kind pid address
    show_row PostgreSQL "$AXS_TEST_DATABASE_KIND" "$(show_pid postgres)" \
        "$(without_password "$AXS_TEST_DATABASE_URL")"
    [ -z "$AXS_TEST_DATABASE_SOCKET_URL" ] ||
        show_row '' '' '' "$(without_password "$AXS_TEST_DATABASE_SOCKET_URL")"
    show_row Redis "$AXS_TEST_REDIS_KIND" "$(show_pid redis)" "$(without_password "$AXS_TEST_REDIS_URL")"
    case $AXS_TEST_KAFKA_KIND in
        mock) show_row Kafka mock "$(show_pid mock)" "$AXS_TEST_KAFKA_BROKERS" ;;
        *) show_row Kafka "$AXS_TEST_KAFKA_KIND" "$(show_pid kafka)" "$AXS_TEST_KAFKA_BROKERS" ;;
    esac
    say "data, logs and pids: $SERVERS_HOME; for a shell: . $ENV_FILE"
)
