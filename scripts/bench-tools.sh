#!/bin/sh
# Prints where the programs lie that `make bench-scan` compares with, fetched if need be: ripgrep, sshguard, matplotlib.
#
# Nothing is installed: Debian's packages are unpacked, and the plots get a venv, in the cache outside the tree.
# bench-tools.sh [ripgrep] [sshguard] [plot]; all without arguments. One line each: NAME=PATH.
set -eu
cd "$(dirname "$0")/.."

ROOT=$PWD
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/zmban
BENCH=$CACHE/bench

say() { printf '%s\n' "bench-tools: $*" >&2; }
die() { say "$*"; exit 69; }

# Lists of its own where apt has none or may not be asked: that needs no root. The mirror is apt's own.
apt() {
    tool=$1
    shift
    set -- -o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=30 "$@"
    [ ! -d "$BENCH/apt/lists" ] || set -- -o Dir::State::Lists="$BENCH/apt/lists" -o Dir::Cache="$BENCH/apt" "$@"
    "$tool" "$@"
}

refresh() {
    say "reading the package lists"
    mkdir -p "$BENCH/apt/lists/partial" "$BENCH/apt/archives/partial"
    apt apt-get update -q >"$BENCH/apt/update.log" 2>&1 || say "apt-get update failed: see $BENCH/apt/update.log"
}

# apt holds what it downloads against the signed lists, so no sum stands here.
fetch() { # package
    command -v apt-get >/dev/null 2>&1 || die "no apt on this host to fetch $1 with"
    say "fetching $1"
    (cd "$work" && apt apt-get download -q "$1" >fetch.log 2>&1) || {
        refresh
        (cd "$work" && apt apt-get download -q "$1" >fetch.log 2>&1)
    } || { cat "$work/fetch.log" >&2; die "apt-get could not download $1"; }
    dpkg-deb -x "$work/$1"_*.deb "$work/$1"
    chmod 755 "$work/$1"
    # The version beside it, for the report.
    dpkg-deb -f "$work/$1"_*.deb Version >"$work/$1/version"
    mv "$work/$1" "$BENCH/$1"
}

package() { # package, path of its program: prints name=path
    [ -x "$BENCH/$1/$2" ] || fetch "$1"
    echo "$1=$BENCH/$1/$2"
}

plot() {
    sum=$(cksum <"$ROOT/requirements/bench.txt")
    venv=$BENCH/venv
    if [ "$(cat "$venv/requirements.sum" 2>/dev/null)" != "$sum" ]; then
        say "installing matplotlib into a venv of its own"
        rm -rf "$venv"
        "${PYTHON:-python3}" -m venv "$venv" || die "python3-venv is missing"
        "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements/bench.txt >&2
        printf '%s\n' "$sum" >"$venv/requirements.sum"
    fi
    echo "plot=$venv/bin/python"
}

[ $# -gt 0 ] || set -- ripgrep sshguard plot
mkdir -p "$BENCH"
# Two who need it at the same time fetch it once: who is second waits, and finds it.
exec 9>"$BENCH/lock"
flock 9
work=$(mktemp -d "$BENCH/fetch.XXXXXX")
trap 'rm -rf "$work" "$BENCH/apt"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
for wanted in "$@"; do
    case $wanted in
        ripgrep) package ripgrep usr/bin/rg ;;
        sshguard) package sshguard usr/libexec/sshguard/sshg-parser ;;
        plot) plot ;;
        *) die "there is no $wanted; there are ripgrep, sshguard, plot" ;;
    esac
done
