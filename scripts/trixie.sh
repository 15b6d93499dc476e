#!/bin/sh
# Prints the root file system of the next Debian release with Podman, which plays the chart's pods in tests, and Valkey.
# It is bootstrapped from this host's apt mirror into a cache; the host's packages do not change.
set -eu
# shellcheck source=scripts/mirror.sh
. "$(dirname "$0")/mirror.sh"

SUITE=trixie
# runc, since crun refuses the mixed cgroups that some hosts have.
PACKAGES=podman,runc,catatonit,netavark,ca-certificates,valkey-server
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/zmban
PLACE=$CACHE/$SUITE
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$SUITE: $*" >&2; }
die() { say "$*"; exit 69; }

bootstrap() {
    [ "$(id -u)" = 0 ] || die "bootstrapping $SUITE needs root"
    command -v apt-get >/dev/null 2>&1 || die "this host has no apt"
    read_release
    [ "$distribution" = debian ] || die "the mirror of $distribution has no $SUITE"
    choose_mirror
    command -v debootstrap >/dev/null 2>&1 || {
        say "installing debootstrap"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-remove --no-install-recommends debootstrap >&2 ||
            die "apt-get could not install debootstrap"
    }
    root=$(mktemp -d "$CACHE/$SUITE.XXXXXX")
    trap 'rm -rf "$root"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    chmod 755 "$root"
    say "bootstrapping $SUITE with Podman and Valkey from this host's apt mirror: takes two minutes"
    # In a mount namespace of its own, so that an interruption leaves no mount.
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child \
        debootstrap --variant=minbase --include="$PACKAGES" --keyring="$keyring" "$SUITE" "$root" "$mirror" \
        </dev/null >"$CACHE/$SUITE.log" 2>&1 || die "debootstrap failed: see $CACHE/$SUITE.log"
    mkdir -p "$root/etc/containers"
    printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' \
        >"$root/etc/containers/containers.conf"
    rm -rf "$PLACE"
    mv "$root" "$PLACE"
    trap - EXIT INT TERM HUP
}

main() {
    mkdir -p "$CACHE"
    # Lock, so that two concurrent runs bootstrap only once.
    exec 9>"$CACHE/$SUITE.lock"
    flock 9
    [ -x "$PLACE/usr/bin/podman" ] && [ -x "$PLACE/usr/bin/valkey-server" ] || bootstrap
    exec 9>&-
    echo "$PLACE"
}

main
