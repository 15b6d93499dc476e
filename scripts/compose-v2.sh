#!/bin/sh
# Prints a DOCKER_CONFIG with the plugins Compose v2 and buildx of the next Debian release. Missing ones are fetched
# from this host's apt mirror and unpacked into a cache; the host's packages do not change. The tests use it to run
# the stack under both versions of Compose.
set -eu
# shellcheck source=scripts/mirror.sh
. "$(dirname "$0")/mirror.sh"

SUITE=trixie
COMPOSE=2.26.1
BUILDX=0.13.1+ds1
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/zmban
PLACE=$CACHE/compose-$COMPOSE

say() { printf '%s\n' "compose-v2: $*" >&2; }
die() { say "$*"; exit 69; }

# Separate lists, sources and archives, verified with the distribution's keys; the host's apt pins do not apply.
apt() {
    apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=30 \
        -o Acquire::Languages=none -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" "$@" >>"$CACHE/compose-v2.log" 2>&1
}

fetch() {
    command -v apt-get >/dev/null 2>&1 || die "this host has no apt"
    read_release
    [ "$distribution" = debian ] || die "the mirror of $distribution has no $SUITE"
    choose_mirror
    work=$(mktemp -d "$CACHE/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    mkdir -p "$work/sources" "$work/lists/partial" "$work/archives/partial" "$work/root/cli-plugins"
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$mirror" "$SUITE" "$keyring" \
        >"$work/sources/$SUITE.sources"
    say "fetching docker-compose $COMPOSE and docker-buildx $BUILDX of $SUITE"
    : >"$CACHE/compose-v2.log"
    apt update -o APT::Update::Error-Mode=any || die "this host's mirror does not provide $SUITE: see $CACHE/compose-v2.log"
    (cd "$work" && apt download "docker-compose=$COMPOSE-*" "docker-buildx=$BUILDX-*") ||
        die "$SUITE has no docker-compose $COMPOSE or docker-buildx $BUILDX: see $CACHE/compose-v2.log"
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done
    for plugin in docker-compose docker-buildx; do
        ln -s "../usr/libexec/docker/cli-plugins/$plugin" "$work/root/cli-plugins/$plugin"
    done
    DOCKER_CONFIG=$work/root docker compose version >/dev/null 2>&1 || die "the plugin of $SUITE does not run here"
    chmod 755 "$work/root"
    mv "$work/root" "$PLACE"
}

main() {
    mkdir -p "$CACHE"
    # Lock, so that two concurrent runs fetch only once.
    exec 9>"$CACHE/compose-v2.lock"
    flock 9
    [ -x "$PLACE/cli-plugins/docker-compose" ] || fetch
    exec 9>&-
    echo "$PLACE"
}

main "$@"
