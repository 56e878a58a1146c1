# shellcheck shell=bash disable=SC2016 # expanded by the inner shell
# The private Redis: start, stop and readiness.

REDIS_LOG="$LOG_DIR/redis.log"

# A PING over bash's own TCP, so that redis-cli need not be there. Loading answers -LOADING.
redis_ready() {
    local answer
    answer=$(timeout 2 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$0" && printf "PING\r\n" >&3 && read -r line <&3 && printf "%s" "$line"
    ' "$REDIS_PORT" 2>/dev/null) || return 1
    [ "${answer%$'\r'}" = '+PONG' ]
}

redis_start() {
    require_free_port Redis "$REDIS_PORT"
    mkdir -p "$SERVERS_HOME/redis"
    say "starting Redis on 127.0.0.1:$REDIS_PORT"
    start_recorded redis "$REDIS_LOG" redis-server "$SERVERS_SCRIPTS/redis/redis.conf" \
        --port "$REDIS_PORT" --dir "$SERVERS_HOME/redis" --daemonize no
    await_ready redis 20 "$REDIS_LOG" redis_ready
}

redis_stop() { stop_recorded redis TERM 20; }

redis_url() { printf 'redis://127.0.0.1:%s/' "$REDIS_PORT"; }
