#!/bin/sh
# Runs the demonstration without Docker: servers, attackers and zmban in temporary namespaces.
#
# DEMO_SECONDS (25): how long the clients run. Exit code 1 if a check failed (see demo/summary.py).
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/zmban
PATH=$PATH:/usr/sbin:/sbin
# Separate mount and pid namespaces. When the first process in them ends, the kernel ends the others; when this script
# is killed, the first process is killed too. A separate session: Ctrl-C reaches this script only, and saslauthd, which
# kills its process group at the end, does not reach it.
PRIVATE='setsid setpriv --pdeathsig KILL unshare --mount --pid --ipc --fork --kill-child'

say() { printf '%s\n' "demo: $*" >&2; }
die() { code=$1; shift; say "$*"; exit "$code"; }

require() {
    [ "$(id -u)" = 0 ] || die 77 "network namespaces need root: sudo make demo"
    case $ROOT/ in /run/*) die 69 "the demonstration replaces /run: move this checkout to another directory" ;; esac
    for tool in ip:iproute2 unshare:util-linux setpriv:util-linux; do
        command -v "${tool%:*}" >/dev/null || die 69 "${tool%:*} is missing: apt-get install ${tool#*:}"
    done
    [ -x "$ROOT/.venv/bin/zmban" ] || die 69 ".venv/bin/zmban is missing: make venv"
    $PRIVATE --net true 2>/dev/null || die 77 "no permission to create namespaces: in a container, use --privileged"
}

# Prints the pid of the first process in the namespaces, as seen from the host.
first() { cat "/proc/$child/task/$child/children" 2>/dev/null || true; }

# Stops $child and its processes. unshare ignores signals while its child runs, and exits after the last process in its
# namespaces.
stop() { # signal exit-code
    trap '' INT TERM HUP
    if [ "$(cat "/proc/$child/comm" 2>/dev/null)" = unshare ]; then
        # shellcheck disable=SC2046
        kill "-$1" $(first) 2>/dev/null || kill -KILL "$child" 2>/dev/null || true
    else
        kill -TERM "$child" 2>/dev/null || true
    fi
    wait "$child" 2>/dev/null || true
    say "stopped; everything is removed"
    exit "$2"
}

# Waits for $child, and stops it on a signal. Returns its exit code.
supervise() { # signal
    trap "stop $1 130" INT
    trap "stop $1 143" TERM
    trap "stop $1 129" HUP
    status=0
    wait "$child" || status=$?
    trap - INT TERM HUP
    return "$status"
}

# Sets $tree, the root file system of the servers; creates it once.
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
    say "creating the root file system of the test servers: takes a minute, once"
    rm -rf "$CACHE"/demo-*
    # Readable by root only: it contains setuid programs that get no updates.
    new=$(mktemp -d "$CACHE/new-demo.XXXXXX")
    trap 'rm -rf "$new"' EXIT
    # shellcheck disable=SC2086
    $PRIVATE sh "$ROOT/demo/tree.sh" "$tarball" "$new/root" </dev/null >"$CACHE/demo-tree.log" 2>&1 &
    child=$!
    supervise KILL || die 69 "the packages of demo/packages could not be installed: see $CACHE/demo-tree.log"
    # A concurrent run may have created it.
    mv -T "$new" "$home" 2>/dev/null || [ -d "$tree" ]
    rm -rf "$new"
    trap - EXIT
}

run() {
    began=$(date +%s)
    # shellcheck disable=SC2086
    $PRIVATE --net sh "$ROOT/demo/namespaces.sh" "$tree" "${DEMO_SECONDS:-25}" </dev/null &
    child=$!
    status=0
    supervise TERM || status=$?
    echo "the demonstration took $(($(date +%s) - began)) s"
    return "$status"
}

require
make_tree
run
