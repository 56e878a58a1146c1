# shellcheck shell=bash
# The private Apache Kafka: one KRaft node, start, stop and readiness.

# shellcheck source=tests/servers/kafka/jars.sh
. "$SERVERS_SCRIPTS/kafka/jars.sh"
# shellcheck source=tests/servers/kafka/metadata.sh
. "$SERVERS_SCRIPTS/kafka/metadata.sh"

KAFKA_LOG="$LOG_DIR/kafka.log"
KAFKA_OUTPUT="$LOG_DIR/kafka.out"

kafka_java() {
    local memory=$1
    shift
    printf '%s\0' java "-Xms$memory" -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel="${KAFKA_TIER:-4}" \
        "-Daxs.log=$KAFKA_LOG" "-Dlog4j2.configurationFile=$SERVERS_SCRIPTS/kafka/log4j2.properties" \
        -cp "$KAFKA_JARS/*" "$@"
}

# Formats the log folder once. The cluster's id is random: nothing depends on it.
kafka_create() {
    local properties="$KAFKA_HOME/server.properties"
    sed -e "s|@HOME@|$KAFKA_HOME|" -e "s|@PORT@|$KAFKA_PORT|" \
        -e "s|@CONTROLLER_PORT@|$KAFKA_CONTROLLER_PORT|" \
        "$SERVERS_SCRIPTS/kafka/server.properties" >"$properties"
    [ ! -s "$KAFKA_HOME/data/meta.properties" ] || return 0
    say "formatting Kafka's log folder $KAFKA_HOME/data"
    local -a java
    mapfile -d '' -t java < <(KAFKA_TIER=1 kafka_java 64m kafka.tools.StorageTool format --standalone \
        --cluster-id "$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c1-22)" --config "$properties")
    "${java[@]}" </dev/null >>"$KAFKA_OUTPUT" 2>&1 9>&- || fail "formatting Kafka's folder failed; see $KAFKA_OUTPUT"
}

kafka_ready() { kafka_answers_metadata 127.0.0.1 "$KAFKA_PORT"; }

kafka_start() {
    require_free_port Kafka "$KAFKA_PORT"
    require_free_port "Kafka's controller" "$KAFKA_CONTROLLER_PORT"
    kafka_create
    say "starting Apache Kafka on 127.0.0.1:$KAFKA_PORT"
    local -a java
    mapfile -d '' -t java < <(kafka_java 256m kafka.Kafka "$KAFKA_HOME/server.properties")
    start_recorded kafka "$KAFKA_OUTPUT" "${java[@]}"
    await_ready kafka 120 "$KAFKA_OUTPUT" kafka_ready
}

kafka_stop() { stop_recorded kafka TERM 60; }
