# shellcheck shell=bash
# The broker's jars, fetched once for each state of the pom. Every function here returns non-zero
# instead of ending the script: without Java or the artifacts there is a fallback.

KAFKA_HOME="$SERVERS_HOME/kafka"
KAFKA_JARS="$KAFKA_HOME/jars"

# Kafka 4 needs Java 17.
java_is_new_enough() {
    local version
    version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1) || return 1
    [ -n "$version" ] && [ "$version" -ge 17 ]
}

kafka_jars_are_there() {
    [ "$(cat "$KAFKA_JARS/pom.sha256" 2>/dev/null)" = "$(sha256sum <"$SERVERS_SCRIPTS/kafka/pom.xml")" ]
}

fetch_kafka_jars() {
    kafka_jars_are_there && return 0
    command -v mvn >/dev/null || return 1
    local part="$KAFKA_HOME/jars.part"
    rm -rf "$part" "$KAFKA_JARS"
    mkdir -p "$part"
    say "fetching Apache Kafka's jars by Maven (about 100 MB the first time)"
    mvn -B -q -Dstyle.color=never -f "$SERVERS_SCRIPTS/kafka/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$part" </dev/null >"$LOG_DIR/maven.log" 2>&1 9>&- || {
        say "Maven failed; the last lines of $LOG_DIR/maven.log:"
        tail -n 5 "$LOG_DIR/maven.log" >&2
        return 1
    }
    sha256sum <"$SERVERS_SCRIPTS/kafka/pom.xml" >"$part/pom.sha256"
    mv "$part" "$KAFKA_JARS"
}
