# shellcheck shell=bash disable=SC2016 # expanded by the inner shell
# Asks a broker for its metadata in Kafka's own protocol, over bash's TCP: a start of the JVM for
# this question would take longer than the broker's.

# Metadata, version 1, no topics: size 16, key 3, version 1, correlation 1, client "up", 0 topics.
# The answer begins with size, correlation and the number of brokers; a broker that is still fenced
# leaves itself out of that list.
kafka_answers_metadata() {
    local bytes
    bytes=$(timeout 3 bash -c '
        exec 3<>"/dev/tcp/$0/$1" || exit 1
        printf "\0\0\0\20\0\3\0\1\0\0\0\1\0\2up\0\0\0\0" >&3
        head -c 12 <&3 | od -An -v -tu1
    ' "$1" "$2" 2>/dev/null) || return 1
    # shellcheck disable=SC2086 # the bytes are wanted as words
    set -- $bytes
    [ $# -eq 12 ] && [ "$8" -eq 1 ] && [ "${12}" -ge 1 ]
}
