#!/bin/sh
# Prints the path of Debian's fail2ban package, unpacked for the tests; fetches it if missing.
#
# Fail2Ban is GPL: the package stays in a cache outside the tree, and nothing of it may be committed.
# ZMBAN_FAIL2BAN names an unpacked package, or a checkout of its source, to use instead.
set -eu

KNOWN=1.0.2-2
KNOWN_SUM=9717b7aeef7b00f0df4c76045cd6dab2755cbe9fc99dbfe3cd114126880ec7f7
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/zmban

say() { printf '%s\n' "fail2ban: $*" >&2; }
die() { say "$*"; exit 69; }

usable() { [ -f "$1/etc/fail2ban/jail.conf" ] || [ -f "$1/config/jail.conf" ]; }

chosen() {
    root=$(cd "$ZMBAN_FAIL2BAN" 2>/dev/null && pwd) || die "ZMBAN_FAIL2BAN=$ZMBAN_FAIL2BAN is not a directory"
    usable "$root" || die "ZMBAN_FAIL2BAN=$ZMBAN_FAIL2BAN is neither an unpacked package nor a checkout of fail2ban"
    echo "$root"
}

# Use separate package lists if apt has none or is not permitted; this needs no root.
apt() {
    tool=$1
    shift
    set -- -o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=30 "$@"
    [ ! -d "$CACHE/apt/lists" ] || set -- -o Dir::State::Lists="$CACHE/apt/lists" -o Dir::Cache="$CACHE/apt" "$@"
    "$tool" "$@"
}

candidate() {
    apt apt-cache --no-all-versions show fail2ban 2>/dev/null | sed -n 's/^Version: //p' | head -n 1
}

refresh() {
    say "reading the package lists"
    mkdir -p "$CACHE/apt/lists/partial" "$CACHE/apt/archives/partial"
    apt apt-get update -q >"$CACHE/apt/update.log" 2>&1 || say "apt-get update failed: see $CACHE/apt/update.log"
}

find_version() {
    version=$(candidate)
    [ -n "$version" ] || { refresh; version=$(candidate); }
    [ -n "$version" ] || die "apt knows no package fail2ban; unpack one yourself and set ZMBAN_FAIL2BAN"
}

check() {
    if [ "$version" != "$KNOWN" ]; then
        say "version is $version; the expected counts are for $KNOWN"
    elif ! printf '%s  %s\n' "$KNOWN_SUM" "$1" | sha256sum -c --status; then
        die "the sha256 of the package of version $KNOWN differs from the expected one"
    fi
}

fetch() {
    work=$(mktemp -d "$CACHE/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    say "fetching $version"
    (cd "$work" && apt apt-get download -q fail2ban >fetch.log 2>&1) || {
        refresh
        version=$(candidate)
        (cd "$work" && apt apt-get download -q fail2ban >fetch.log 2>&1)
    } || { cat "$work/fetch.log" >&2; die "apt-get could not download fail2ban"; }
    check "$work"/*.deb
    chmod 755 "$work"
    dpkg-deb -x "$work"/*.deb "$work/root"
    # The test filters of Fail2Ban include common.conf by a path that exists in a source checkout only.
    ln -s ../etc/fail2ban "$work/root/usr/config"
    root=$CACHE/fail2ban-$version
    [ -d "$root" ] || mv "$work/root" "$root"
    rm -rf "$CACHE/apt"
}

main() {
    if [ -n "${ZMBAN_FAIL2BAN:-}" ]; then chosen; return; fi
    # Try the known version first: that needs neither apt nor a network.
    root=$CACHE/fail2ban-$KNOWN
    if usable "$root"; then echo "$root"; return; fi
    command -v apt-get >/dev/null 2>&1 ||
        die "this host has no apt; unpack Debian's fail2ban package yourself and set ZMBAN_FAIL2BAN"
    mkdir -p "$CACHE"
    # Lock, so that two concurrent runs fetch only once.
    exec 9>"$CACHE/fail2ban.lock"
    flock 9
    find_version
    root=$CACHE/fail2ban-$version
    usable "$root" || fetch
    exec 9>&-
    echo "$root"
}

main "$@"
