# shellcheck shell=bash
# The fallback for Apache Kafka: librdkafka's mock broker in a small program of the test harness.

MOCK_LOG="$LOG_DIR/mock-broker.log"
MOCK_ADDRESSES="$RUN_DIR/mock.addresses"

# shellcheck source=tests/servers/kafka/metadata.sh
. "$SERVERS_SCRIPTS/kafka/metadata.sh"

# The broker's and the control port's address, one a line, as the program printed them.
mock_brokers() { sed -n 's/^bootstrap.servers=//p' "$MOCK_ADDRESSES" 2>/dev/null; }
mock_control() { sed -n 's/^control=//p' "$MOCK_ADDRESSES" 2>/dev/null; }

mock_ready() {
    local brokers
    brokers=$(mock_brokers)
    [ -n "$brokers" ] && kafka_answers_metadata "${brokers%:*}" "${brokers##*:}"
}

mock_warning() {
    warn_loudly \
        "Apache Kafka is NOT running: $1." \
        "librdkafka's mock broker stands in for it. What is then not covered:" \
        "  - durability of the log: all is in memory and gone when the program ends" \
        "  - a restart of the broker, and recovery after it" \
        "  - retention: more than 5 MiB a partition drops the oldest records in silence" \
        "  - topic administration (create, delete, add partitions, describe)" \
        "Tests that need the real broker are skipped, counted and named at the end."
}

mock_start() {
    local target
    say "building the mock broker (the first build takes minutes)"
    (cd "$CHECKOUT" && cargo build --locked -p axs-tests --bin mock-broker >&2 9>&-)
    target=$("$SERVERS_SCRIPTS/target_dir.sh" 9>&-)
    say "starting the mock broker"
    rm -f "$MOCK_ADDRESSES"
    start_recorded mock "$MOCK_LOG" "$target/debug/mock-broker" --addresses "$MOCK_ADDRESSES"
    await_ready mock 20 "$MOCK_LOG" mock_ready
}

mock_stop() {
    stop_recorded mock TERM 10
    rm -f "$MOCK_ADDRESSES"
}
