#!/usr/bin/env bash
# Installs the Debian packages that are missing: for building (a C and C++ compiler for librdkafka,
# OpenSSL and zlib headers) and for those servers that are named as arguments
# (postgres, redis, kafka). Starts no system service and creates no system cluster; whatever is
# changed for the time of the installation is put back.
set -euo pipefail
# shellcheck source=tests/servers/place.sh
. "$(dirname "$0")/place.sh"
# shellcheck source=tests/servers/postgres/server.sh
. "$SERVERS_SCRIPTS/postgres/server.sh"
# shellcheck source=tests/servers/kafka/jars.sh
. "$SERVERS_SCRIPTS/kafka/jars.sh"

POLICY=/usr/sbin/policy-rc.d
CLUSTER_CONF=/etc/postgresql-common/createcluster.conf
scratch=''
made_policy=''
changed_cluster_conf=''

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        -o Dpkg::Use-Pty=0 "$@" >&2 </dev/null
}

put_back() {
    [ -z "$made_policy" ] || as_root rm -f "$POLICY"
    [ -z "$changed_cluster_conf" ] || as_root cp -p "$scratch/createcluster.conf" "$CLUSTER_CONF"
    [ -z "$scratch" ] || as_root rm -rf "$scratch"
}

# Debian's packages start what they install unless this file says no (101).
forbid_services() {
    [ ! -e "$POLICY" ] || return 0
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
}

# The server's package would create a cluster "main". The file that prevents it comes with
# postgresql-common, which creates none, so that goes first.
forbid_main_cluster() {
    apt_install postgresql-common
    cp -p "$CLUSTER_CONF" "$scratch/createcluster.conf"
    changed_cluster_conf=yes
    printf '\ncreate_main_cluster = false\n' | as_root tee -a "$CLUSTER_CONF" >/dev/null
}

missing_packages() {
    command -v cc >/dev/null || echo gcc
    command -v c++ >/dev/null || echo g++
    command -v make >/dev/null || echo make
    command -v pkg-config >/dev/null || echo pkg-config
    [ -e /usr/include/openssl/ssl.h ] || echo libssl-dev
    [ -e /usr/include/zlib.h ] || echo zlib1g-dev
    local server
    for server in "$@"; do
        case $server in
            postgres) postgres_bin >/dev/null || echo postgresql ;;
            redis) command -v redis-server >/dev/null || echo redis-server ;;
            kafka)
                java_is_new_enough || echo openjdk-17-jre-headless
                kafka_jars_are_there || command -v mvn >/dev/null || echo maven
                ;;
        esac
    done
}

mapfile -t missing < <(missing_packages "$@")
[ "${#missing[@]}" -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
    fail "missing here: ${missing[*]} (Debian's names). There is no apt-get: install their like by hand"
[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
    fail "missing here: ${missing[*]}. Install them as root: apt-get install ${missing[*]}"

say "installing ${missing[*]}"
scratch=$(mktemp -d)
trap put_back EXIT
as_root apt-get update -q >&2 </dev/null || say "apt-get update failed; going on with the lists that are there"
forbid_services
case " ${missing[*]} " in *' postgresql '*) forbid_main_cluster ;; esac
apt_install "${missing[@]}"

# The packages also enable what they install for the next boot of the machine.
if command -v systemctl >/dev/null; then
    for package in "${missing[@]}"; do
        case $package in
            postgresql | redis-server) as_root systemctl disable -q "$package" >&2 ||
                say "$package.service may start at the next boot: systemctl disable $package" ;;
        esac
    done
fi
