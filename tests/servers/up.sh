#!/usr/bin/env bash
# Starts the private servers that do not run yet, waits until each answers, writes .servers/env.
#
# AXS_SERVERS_KAFKA=mock    uses the mock broker even where Apache Kafka could run
# AXS_SERVERS_KAFKA=apache  fails rather than fall back to the mock broker
# AXS_SERVERS_STARTED=FILE  receives the names of the servers that this call started
set -euo pipefail
# shellcheck source=tests/servers/servers.sh
. "$(dirname "$0")/servers.sh"

start_unless_running() {
    local name=$1 pid
    if pid=$(live_pid "$name"); then
        say "$name runs already (pid $pid)"
        await_ready "$name" 60 "$LOG_DIR/$name.log" "${name}_ready"
        return
    fi
    [ -z "${AXS_SERVERS_STARTED:-}" ] || echo "$name" >>"$AXS_SERVERS_STARTED"
    "${name}_start"
}

# Says in `kafka_kind` which broker it is going to be, and why in `mock_reason`.
choose_kafka() {
    if kafka_is_external; then
        kafka_kind=external
    elif [ "${AXS_SERVERS_KAFKA:-}" = mock ]; then
        kafka_kind=mock
        mock_reason='AXS_SERVERS_KAFKA=mock asks for that'
    elif ! java_is_new_enough; then
        kafka_kind=mock
        mock_reason='there is no Java 17'
    elif ! fetch_kafka_jars; then
        kafka_kind=mock
        mock_reason="its jars could not be fetched (see $LOG_DIR/maven.log)"
    else
        kafka_kind=apache
    fi
    if [ "$kafka_kind" = mock ] && [ "${AXS_SERVERS_KAFKA:-}" = apache ]; then
        fail "Apache Kafka is asked for, but $mock_reason"
    fi
}

install_missing() {
    local -a wanted=()
    postgres_is_external || wanted+=(postgres)
    redis_is_external || wanted+=(redis)
    # Java is the one thing that may be missing: there is a fallback.
    "$SERVERS_SCRIPTS/install.sh" "${wanted[@]}" 9>&-
    if ! kafka_is_external && [ "${AXS_SERVERS_KAFKA:-}" != mock ]; then
        "$SERVERS_SCRIPTS/install.sh" kafka 9>&- || say "Java or Maven could not be installed"
    fi
}

case ${AXS_SERVERS_KAFKA:-} in
    '' | mock | apache) ;;
    *) fail "AXS_SERVERS_KAFKA is '$AXS_SERVERS_KAFKA': mock and apache are known" ;;
esac

began=$SECONDS
kafka_kind=''
mock_reason=''
lock_servers
load_ports
install_missing
if postgres_is_external; then
    require_external PostgreSQL "$AXS_TEST_DATABASE_URL" 5432
else
    start_unless_running postgres
fi
if redis_is_external; then
    require_external Redis "$AXS_TEST_REDIS_URL" 6379
else
    start_unless_running redis
fi
choose_kafka
case $kafka_kind in
    external) require_external Kafka "$AXS_TEST_KAFKA_BROKERS" 9092 ;;
    apache)
        mock_stop
        start_unless_running kafka
        ;;
    mock)
        mock_warning "$mock_reason"
        kafka_stop
        start_unless_running mock
        ;;
esac
write_environment "$kafka_kind"
say "ready after $((SECONDS - began)) s"
show_table
