#!/bin/sh
# Prints the base image for builds: Debian's from the registry, else one bootstrapped from this host's apt mirror.
#
#   base-image.sh            name of the image; creates it if missing
#   base-image.sh --rootfs   path of the bootstrapped root file system (a tarball); needs no Docker
set -eu
# shellcheck source=scripts/mirror.sh
. "$(dirname "$0")/mirror.sh"

WANTED=debian:bookworm-slim
CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/zmban
BUNDLE=/etc/ssl/certs/ca-certificates.crt
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "base-image: $*" >&2; }
die() { say "$*"; exit 69; }

# On Debian, bootstrap bookworm, whatever release the host runs. Ubuntu's mirror has only Ubuntu: use its release.
choose_release() {
    read_release
    case $distribution in
    debian) release=bookworm ;;
    *) release=$host_release ;;
    esac
    [ -n "$release" ] || die "cannot tell this host's release from /etc/os-release"
}

write_sources() {
    components=main
    [ "$distribution" = debian ] || components='main universe'
    {
        printf 'Types: deb\nURIs: %s\nSuites: %s %s-updates\nComponents: %s\nSigned-By: %s\n' \
            "$mirror" "$release" "$release" "$components" "$keyring"
        [ -z "$security" ] || printf '\nTypes: deb\nURIs: %s\nSuites: %s-security\nComponents: %s\nSigned-By: %s\n' \
            "$security" "$release" "$components" "$keyring"
    } >"$1/etc/apt/sources.list.d/$distribution.sources"
    rm -f "$1/etc/apt/sources.list"
}

# Exclude documentation, translations and caches, also for packages that are installed later.
slim() {
    cat >"$1/etc/dpkg/dpkg.cfg.d/slim" <<'EOF'
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/lintian/*
EOF
    printf 'Apt::Install-Recommends "false";\nAcquire::Languages "none";\n' >"$1/etc/apt/apt.conf.d/slim"
    find "$1/usr/share/doc" -depth -type f ! -name copyright -delete
    find "$1/usr/share/doc" -depth -type d -empty -delete
    rm -rf "$1/usr/share/man" "$1/usr/share/info" "$1/usr/share/locale" "$1/usr/share/lintian"
    rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb \
        "$1"/var/cache/debconf/*-old "$1"/var/log/* "$1"/tmp/*
}

# Copy this host's CA certificates, for downloads through a TLS-inspecting proxy.
trust() {
    if [ -d /usr/local/share/ca-certificates ]; then
        mkdir -p "$1/usr/local/share/ca-certificates"
        cp -RL /usr/local/share/ca-certificates/. "$1/usr/local/share/ca-certificates/"
    fi
    chroot "$1" update-ca-certificates >/dev/null 2>&1 || say "update-ca-certificates failed in the new root"
    if [ -r "$BUNDLE" ]; then cp -L "$BUNDLE" "$1$BUNDLE"; fi
}

# unshare exits after the last process in its namespaces.
stop_debootstrap() {
    first=$(cat "/proc/$child/task/$child/children" 2>/dev/null || true)
    # shellcheck disable=SC2086
    kill -KILL ${first:-$child} 2>/dev/null || true
    wait "$child" 2>/dev/null || true
}

bootstrap() {
    [ "$(id -u)" = 0 ] || die "$WANTED cannot be pulled, and bootstrapping an image needs root: run it with sudo"
    command -v debootstrap >/dev/null 2>&1 || {
        say "installing debootstrap"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-remove --no-install-recommends debootstrap >&2 ||
            die "apt-get could not install debootstrap"
    }
    choose_mirror
    mkdir -p "$CACHE"
    root=$(mktemp -d "$CACHE/bootstrap.XXXXXX")
    trap 'rm -rf "$root" "$tarball.new"' EXIT
    chmod 755 "$root"
    say "bootstrapping $release from this host's apt mirror: takes a minute or two"
    # In its own namespaces, so that an interruption leaves no process and no mount.
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child \
        debootstrap --variant=minbase --include=ca-certificates --keyring="$keyring" "$release" "$root" "$mirror" \
        </dev/null >"$CACHE/bootstrap.log" 2>&1 9>&- &
    child=$!
    trap 'stop_debootstrap; exit 130' INT
    trap 'stop_debootstrap; exit 143' TERM HUP
    wait "$child" || die "debootstrap failed: see $CACHE/bootstrap.log"
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    write_sources "$root"
    trust "$root"
    slim "$root"
    tar -C "$root" --numeric-owner --one-file-system -czf "$tarball.new" .
    mv "$tarball.new" "$tarball"
    rm -rf "$root"
    trap - EXIT INT TERM HUP
}

rootfs() {
    command -v apt-get >/dev/null 2>&1 || die "$WANTED cannot be pulled, and this host has no apt to bootstrap an image"
    choose_release
    tarball=$CACHE/rootfs-$release.tar.gz
    # make up and make demo may run at the same time: the second one waits for the lock and uses the result.
    mkdir -p "$CACHE"
    exec 9>"$CACHE/lock"
    flock 9
    [ -s "$tarball" ] || bootstrap
    exec 9>&-
}

present() { docker image inspect "$1" >/dev/null 2>&1; }

main() {
    if [ "${1:-}" = --rootfs ]; then
        rootfs
        echo "$tarball"
        return
    fi
    if present "$WANTED"; then echo "$WANTED"; return; fi
    built=$(docker image ls -q --filter reference='zmban-base' 2>/dev/null | head -n 1)
    if [ -n "$built" ]; then
        docker image ls --filter reference='zmban-base' --format '{{.Repository}}:{{.Tag}}' | head -n 1
        return
    fi
    # The engine stops after 15 s if the registry is unreachable; this limit is for a slow connection.
    if timeout 120 docker pull -q "$WANTED" >/dev/null 2>&1; then echo "$WANTED"; return; fi
    say "$WANTED cannot be pulled"
    rootfs
    docker import --change "ENV PIP_CERT=$BUNDLE SSL_CERT_FILE=$BUNDLE REQUESTS_CA_BUNDLE=$BUNDLE" \
        --change 'CMD ["/bin/sh"]' "$tarball" "zmban-base:$release" >/dev/null
    echo "zmban-base:$release"
}

main "$@"
