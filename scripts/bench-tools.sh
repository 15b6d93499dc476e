#!/bin/sh
# Prints the paths of the programs for `make bench-scan` (ripgrep, sshguard, matplotlib), and fetches missing ones.
#
# Installs nothing on the host: Debian's packages are unpacked into a cache, and matplotlib gets a venv there.
# Usage: bench-tools.sh [ripgrep] [sshguard] [plot]; default: all. Output: one line NAME=PATH each.
set -eu
cd "$(dirname "$0")/.."

ROOT=$PWD
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/zmban
BENCH=$CACHE/bench

say() { printf '%s\n' "bench-tools: $*" >&2; }
die() { say "$*"; exit 69; }

# Use separate package lists if apt has none or is not permitted; this needs no root. The mirror is apt's.
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

# apt verifies downloads against the signed lists, so no checksum is needed here.
fetch() { # package
    command -v apt-get >/dev/null 2>&1 || die "cannot fetch $1: this host has no apt"
    say "fetching $1"
    (cd "$work" && apt apt-get download -q "$1" >fetch.log 2>&1) || {
        refresh
        (cd "$work" && apt apt-get download -q "$1" >fetch.log 2>&1)
    } || { cat "$work/fetch.log" >&2; die "apt-get could not download $1"; }
    dpkg-deb -x "$work/$1"_*.deb "$work/$1"
    chmod 755 "$work/$1"
    # Save the version for the report.
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
        say "installing matplotlib into its own venv"
        rm -rf "$venv"
        "${PYTHON:-python3}" -m venv "$venv" || die "python3-venv is missing"
        "$venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r requirements/bench.txt >&2
        printf '%s\n' "$sum" >"$venv/requirements.sum"
    fi
    echo "plot=$venv/bin/python"
}

[ $# -gt 0 ] || set -- ripgrep sshguard plot
mkdir -p "$BENCH"
# Lock, so that two concurrent runs fetch only once.
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
        *) die "unknown tool $wanted; known: ripgrep, sshguard, plot" ;;
    esac
done
