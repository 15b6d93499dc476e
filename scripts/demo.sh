#!/bin/sh
# Runs the demonstration without Docker: real servers, attackers and zmban in namespaces that end with it.
#
# DEMO_SECONDS (25): how long the clients keep coming. Ends with 1 if a promise was broken.
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/zmban
PATH=$PATH:/usr/sbin:/sbin
# Mounts and processes that are not the host's. When the first process in there ends, for whatever reason, the kernel
# ends the rest; when this script is killed, so is the first.
# A session of its own: Ctrl-C comes here alone, and saslauthd's last kill of its process group stays in there.
PRIVATE='setsid setpriv --pdeathsig KILL unshare --mount --pid --ipc --fork --kill-child'

say() { printf '%s\n' "demo: $*" >&2; }
die() { code=$1; shift; say "$*"; exit "$code"; }

require() {
    [ "$(id -u)" = 0 ] || die 77 "network namespaces need root: sudo make demo"
    case $ROOT/ in /run/*) die 69 "in the demonstration /run is another one: move this checkout out of it" ;; esac
    for tool in ip:iproute2 unshare:util-linux setpriv:util-linux; do
        command -v "${tool%:*}" >/dev/null || die 69 "${tool%:*} is missing: apt-get install ${tool#*:}"
    done
    [ -x "$ROOT/.venv/bin/zmban" ] || die 69 "there is no .venv/bin/zmban yet: make venv"
    $PRIVATE --net true 2>/dev/null || die 77 "this root may not make namespaces: in a container it needs --privileged"
}

# The first process in the namespaces, as this host counts.
first() { cat "/proc/$child/task/$child/children" 2>/dev/null || true; }

# Ends $child and what it has started. unshare itself heeds no signal while its child runs, and ends when the last
# process in there has.
stop() { # signal exit-code
    trap '' INT TERM HUP
    if [ "$(cat "/proc/$child/comm" 2>/dev/null)" = unshare ]; then
        # shellcheck disable=SC2046
        kill "-$1" $(first) 2>/dev/null || kill -KILL "$child" 2>/dev/null || true
    else
        kill -TERM "$child" 2>/dev/null || true
    fi
    wait "$child" 2>/dev/null || true
    say "stopped: nothing of it is left"
    exit "$2"
}

# Waits for $child, which a signal ends in time; its exit code.
supervise() { # signal
    trap "stop $1 130" INT
    trap "stop $1 143" TERM
    trap "stop $1 129" HUP
    status=0
    wait "$child" || status=$?
    trap - INT TERM HUP
    return "$status"
}

# The servers' root file system, made once: $tree.
make_tree() {
    setsid setpriv --pdeathsig TERM sh "$ROOT/scripts/base-image.sh" --rootfs >/dev/null </dev/null &
    child=$!
    supervise TERM
    tarball=$(sh "$ROOT/scripts/base-image.sh" --rootfs)
    sum=$(cksum "$tarball" "$ROOT/demo/packages" "$ROOT/demo/install.sh" "$ROOT/demo/tree.sh" |
        cut -d' ' -f1,2 | cksum | cut -d' ' -f1)
    home=$CACHE/demo-$sum
    tree=$home/root
    [ ! -d "$tree" ] || return 0
    say "making the test servers' root file system: a minute, this once"
    rm -rf "$CACHE"/demo-*
    # Nobody but root may come near: it holds programs that run as their owner, and no updates reach them.
    new=$(mktemp -d "$CACHE/new-demo.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    # shellcheck disable=SC2086
    $PRIVATE sh "$ROOT/demo/tree.sh" "$tarball" "$new/root" </dev/null >"$CACHE/demo-tree.log" 2>&1 &
    child=$!
    supervise KILL || die 69 "the packages of demo/packages could not be installed: see $CACHE/demo-tree.log"
    # Somebody else may have made one meanwhile.
    mv -T "$new" "$home" 2>/dev/null || [ -d "$tree" ]
    rm -rf "$new"
    trap - EXIT
}

run() {
    began=$(date +%s)
    # shellcheck disable=SC2086
    $PRIVATE --net sh "$ROOT/demo/street.sh" "$tree" "${DEMO_SECONDS:-25}" </dev/null &
    child=$!
    status=0
    supervise TERM || status=$?
    echo "the demonstration took $(($(date +%s) - began)) s"
    return "$status"
}

require
make_tree
run
