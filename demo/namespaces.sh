#!/bin/sh
# Runs the demonstration in new namespaces, as their first process, and prints the summary.
#
#   namespaces.sh TREE SECONDS    root file system of the servers (not modified); how long the clients run
#
# Its network namespace is that of the mail server's host, with zmban and the servers; the clients run in a second one.
set -eu
LOWER=$1
DURATION=$2
ROOT=$(cd "$(dirname "$0")/.." && pwd)
HOST=zmban-demo-host
CLIENTS=zmban-demo-clients
WORK=/run/zmban-demo
TREE=$WORK/tree
LOGS=$WORK/logs
SOCKET=$WORK/control.sock
REPORT=/var/lib/zmban-demo/attempts.jsonl  # in the tree
HOST_ADDRESS=172.30.253.1
CLIENTS_ADDRESS=172.30.253.2
HOST_ADDRESS6=fd00:7a6d:6261:6e::1
CLIENTS_ADDRESS6=fd00:7a6d:6261:6e::2
READY_SECONDS=20

die() {
    stop_watching
    printf '%s\n' "demo: $*" >&2
    for log in "$LOGS"/*.log; do
        if [ -s "$log" ]; then printf '%s\n' "--- last lines of ${log##*/}" >&2 && tail -n 15 "$log" >&2; fi
    done
    exit 69
}

# ---- mounts, in this mount namespace only ----

# The tree under an overlay for all writes, and the devices that the servers need.
mount_tree() {
    mkdir "$TREE" "$WORK/upper" "$WORK/work"
    mount -t overlay -o "lowerdir=$LOWER,upperdir=$WORK/upper,workdir=$WORK/work" overlay "$TREE" 2>/dev/null ||
        cp -a "$LOWER/." "$TREE/"
    mount -t proc proc "$TREE/proc"
    mount -t tmpfs tmpfs "$TREE/dev"
    mount -t tmpfs tmpfs "$TREE/run"
    for device in null zero full random urandom tty; do
        : >"$TREE/dev/$device"
        mount --bind "/dev/$device" "$TREE/dev/$device"
    done
    ln -s /proc/self/fd "$TREE/dev/fd"
    mkdir -p "$TREE/srv/zmban/demo" "$TREE${REPORT%/*}"
    mount --bind "$ROOT/demo" "$TREE/srv/zmban/demo"
    mount -o remount,bind,ro "$TREE/srv/zmban/demo"
    # Zimbra's logs contain local time without a zone: use this host's zone.
    rm -f "$TREE/etc/localtime"
    if [ -e /etc/localtime ]; then cp -L /etc/localtime "$TREE/etc/localtime"; fi
}

# Replaces /opt by a copy (bind mounts) without the host's /opt/zimbra.
make_room_in_opt() {
    mkdir "$WORK/opt"
    mount --rbind /opt "$WORK/opt"
    mount -t tmpfs -o mode=755 tmpfs /opt
    for entry in "$WORK"/opt/*; do
        place=/opt/${entry##*/}
        if [ "$place" = /opt/zimbra ] || [ ! -e "$entry" ]; then continue; fi
        if [ -L "$entry" ]; then cp -P "$entry" "$place"; continue; fi
        if [ -d "$entry" ]; then mkdir "$place"; else : >"$place"; fi
        mount --rbind "$entry" "$place"
    done
    mkdir -p /opt/zimbra/log
}

# Mounts the servers' logs at the paths of the jails.
mount_logs() {
    make_room_in_opt
    mkdir -p "$TREE/var/log/zimbra" "$TREE/opt/zimbra/log"
    mount --bind "$TREE/opt/zimbra/log" /opt/zimbra/log
    mount --bind "$TREE/var/log/zimbra" /var/log
}

# ---- networks ----

build_networks() {
    ip netns attach "$HOST" $$
    ip netns add "$CLIENTS"
    ip link set lo up
    ip -n "$CLIENTS" link set lo up
    ip link add zmban-demo0 type veth peer name demo0 netns "$CLIENTS"
    ip address add "$HOST_ADDRESS/24" dev zmban-demo0
    ip -n "$CLIENTS" address add "$CLIENTS_ADDRESS/24" dev demo0
    # Without IPv6 on the host, use IPv4 only.
    if [ ! -e /proc/net/if_inet6 ]; then HOST_ADDRESS6='' CLIENTS_ADDRESS6=''; fi
    if [ -n "$HOST_ADDRESS6" ]; then
        # Enable IPv6, whatever the host's default for new interfaces.
        for key in all default; do
            echo 0 >"/proc/sys/net/ipv6/conf/$key/disable_ipv6"
            ip netns exec "$CLIENTS" sh -c "echo 0 >/proc/sys/net/ipv6/conf/$key/disable_ipv6"
        done
        ip -6 address add "$HOST_ADDRESS6/64" dev zmban-demo0 nodad
        ip -n "$CLIENTS" -6 address add "$CLIENTS_ADDRESS6/64" dev demo0 nodad
    fi
    ip link set zmban-demo0 up
    ip -n "$CLIENTS" link set demo0 up
}

# ---- processes ----

# The next two functions exec: call them in the background or in a subshell.

# Runs a program of the demonstration in the tree and in a network namespace, with the variables of compose.yaml.
inside() { # namespace command
    namespace=$1
    shift
    exec ip netns exec "$namespace" chroot "$TREE" /usr/bin/env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
        DEMO_ADDRESS="$HOST_ADDRESS" DEMO_ADDRESS6="$HOST_ADDRESS6" \
        ROAD_CLIENTS="$CLIENTS_ADDRESS" ROAD_CLIENTS6="$CLIENTS_ADDRESS6" \
        ZIMBRA_SYSLOG=/var/log/zimbra/zimbra.log DEMO_SECONDS="$DURATION" DEMO_REPORT="$REPORT" \
        sh -c 'cd /srv/zmban && exec "$@"' - "$@"
}

# Runs zmban without the caller's environment.
zmban() {
    exec env -i --default-signal=INT PATH="$PATH" LANG=C.UTF-8 HOME=/ TERM="${TERM:-dumb}" \
        ${NO_COLOR:+"NO_COLOR=$NO_COLOR"} "$ROOT/.venv/bin/zmban" "$@"
}

start_servers() {
    inside $HOST demo/road.sh >"$LOGS/road.log" 2>&1 &
    inside $HOST demo/postfix/start.sh >"$LOGS/postfix.log" 2>&1 &
    inside $HOST demo/nginx/start.sh >"$LOGS/nginx.log" 2>&1 &
    inside $HOST setpriv --reuid zimbra --regid zimbra --init-groups \
        python3 -m demo.mailboxd >"$LOGS/mailboxd.log" 2>&1 &
}

start_zmban() {
    zmban --config "$ROOT/config" --config "$ROOT/demo/config" \
        run --state "$WORK/state" --socket "$SOCKET" >"$LOGS/zmban.log" 2>&1 &
    sidecar=$!
    deadline=$(($(date +%s) + READY_SECONDS))
    until [ -S "$SOCKET" ] && (zmban status --socket "$SOCKET" --json) >/dev/null 2>&1; do
        kill -0 $sidecar 2>/dev/null || die "zmban has exited"
        [ "$(date +%s)" -lt $deadline ] || die "zmban does not respond"
        sleep 0.1
    done
}

# On a terminal, shows zmban status; else prints a line for each blocked attacker.
watch() {
    if [ -t 1 ]; then
        zmban status --socket "$SOCKET" --watch 2>/dev/null &
        watch_signal=INT
    else
        tail -n +1 -f "$LOGS/clients.log" | sed -u '/the servers stay up/d' &
        watch_signal=TERM
    fi
    watcher=$!
}

stop_watching() {
    [ -n "$watcher" ] || return 0
    kill -$watch_signal $watcher 2>/dev/null || true
    wait $watcher 2>/dev/null || true
    watcher=
}

# Runs the clients until the last has finished.
play() {
    : >"$LOGS/clients.log" # create it for tail
    inside $CLIENTS demo/clients.sh >"$LOGS/clients.log" 2>&1 &
    clients=$!
    watch
    deadline=$(($(date +%s) + DURATION + 180))
    until [ -s "$TREE${REPORT%/*}/done" ]; do
        kill -0 $clients 2>/dev/null || die "the clients have exited"
        kill -0 $sidecar 2>/dev/null || die "zmban has exited"
        [ "$(date +%s)" -lt $deadline ] || die "the clients did not finish in time"
        sleep 0.2
    done
    stop_watching
    [ "$(cat "$TREE${REPORT%/*}/done")" = 0 ] || die "the clients have failed"
}

# Prints the summary; false if a check failed.
summarize() {
    (zmban bans --socket "$SOCKET" --jsonl) >"$WORK/bans" || die "zmban bans failed"
    echo
    (inside $HOST python3 -m demo.summary --report "$REPORT") <"$WORK/bans" || return 1
    banned=$(grep -c '"enforced": *true' "$WORK/bans")
    echo "$banned networks were blackholed in routing table 2520 of the network namespace $HOST, which is removed now"
}

watcher=
trap 'stop_watching; exit 143' TERM INT HUP
# /proc is still the host's, so this is the pid on the host.
read -r process _ </proc/self/stat
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p "$LOGS"
mount_tree
mount_logs
build_networks
start_servers
start_zmban
echo "to see the routes: nsenter --target $process --net ip route show table 2520"
play
summarize
