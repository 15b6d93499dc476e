#!/bin/sh
# Builds the demonstration inside fresh namespaces, of which it is the first process, and plays it to its summary.
#
#   street.sh TREE SECONDS    the servers' root file system, which stays as it is; how long the clients keep coming
#
# The namespace it is in plays the mail server's host; zmban and the servers run there, the clients in a second one.
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
        if [ -s "$log" ]; then printf '%s\n' "--- the last of ${log##*/}" >&2 && tail -n 15 "$log" >&2; fi
    done
    exit 69
}

# ---- mounts, which nobody else sees ----

# The tree with a layer over it that takes all writes, and the few devices that the servers need.
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
    # Zimbra's logs carry local time without a zone: this host's.
    rm -f "$TREE/etc/localtime"
    if [ -e /etc/localtime ]; then cp -L /etc/localtime "$TREE/etc/localtime"; fi
}

# /opt as it is, but with room for a /opt/zimbra that is not this host's.
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

# The servers' logs where the jails look for them.
lead_logs() {
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
    # A host without IPv6 shows its demonstration without.
    if [ ! -e /proc/net/if_inet6 ]; then HOST_ADDRESS6='' CLIENTS_ADDRESS6=''; fi
    if [ -n "$HOST_ADDRESS6" ]; then
        # Whatever the host has set for new interfaces.
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

# These two take the shell's own place: they are called in the background or in parentheses.

# A program of the demonstration in the tree and in a network namespace, with the variables of compose.yaml.
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

# The real one, untouched by settings of the person who calls.
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
        kill -0 $sidecar 2>/dev/null || die "zmban has ended"
        [ "$(date +%s)" -lt $deadline ] || die "zmban does not answer"
        sleep 0.1
    done
}

# On a terminal zmban's own display, else a line whenever an attacker is shut out.
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

# The clients' whole play, till the last has finished.
play() {
    : >"$LOGS/clients.log" # whoever watches may be faster than whoever writes
    inside $CLIENTS demo/clients.sh >"$LOGS/clients.log" 2>&1 &
    clients=$!
    watch
    deadline=$(($(date +%s) + DURATION + 180))
    until [ -s "$TREE${REPORT%/*}/done" ]; do
        kill -0 $clients 2>/dev/null || die "the clients have ended"
        kill -0 $sidecar 2>/dev/null || die "zmban has ended"
        [ "$(date +%s)" -lt $deadline ] || die "the clients do not finish"
        sleep 0.2
    done
    stop_watching
    [ "$(cat "$TREE${REPORT%/*}/done")" = 0 ] || die "the clients have failed"
}

# What became of everybody; false if a promise was broken.
summarize() {
    (zmban bans --socket "$SOCKET" --jsonl) >"$WORK/bans" || die "zmban does not tell its bans"
    echo
    (inside $HOST python3 -m demo.summary --report "$REPORT") <"$WORK/bans" || return 1
    banned=$(grep -c '"enforced": *true' "$WORK/bans")
    echo "$banned networks were blackholed in the table 2520 of the network namespace $HOST, which ends now"
}

watcher=
trap 'stop_watching; exit 143' TERM INT HUP
# /proc is still the one that counts as everybody else does.
read -r process _ </proc/self/stat
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p "$LOGS"
mount_tree
lead_logs
build_networks
start_servers
start_zmban
echo "to look in meanwhile: nsenter --target $process --net ip route show table 2520"
play
summarize
