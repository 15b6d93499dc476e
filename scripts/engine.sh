#!/bin/sh
# Ensures that a Docker engine and Compose work on this host. Installs them only if no engine is installed.
set -eu

SETUP=/var/lib/zmban-setup
MARKER=$SETUP/engine
PIDFILE=$SETUP/dockerd.pid
LOGFILE=$SETUP/dockerd.log
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf '%s\n' "engine: $*" >&2; }
die() { say "$*"; exit 69; }
have() { command -v "$1" >/dev/null 2>&1; }

# Sets $answer to the engine's version, operating system, security options and errors, by `docker info`.
answer=
ask() {
    answer=$(timeout 20 docker info \
        --format '{{.ServerVersion}}|{{.OperatingSystem}}|{{.SecurityOptions}}|{{.ServerErrors}}' 2>&1) || return 1
    case $answer in '|'* | '<no value>'*) return 1 ;; esac
}

need_root() {
    [ "$(id -u)" = 0 ] || die "$1 needs root: run it with sudo, or ask an administrator to do it once"
}

# Refuses an engine that cannot write the routes of this host: in a virtual machine, rootless, or on another host.
fit() {
    case $answer in
    *'|Docker Desktop'*)
        die "Docker Desktop runs containers in a virtual machine: routes written there do not protect this host;" \
            "install Docker Engine on the host" ;;
    *name=rootless*)
        die "Docker runs rootless: routes would be written to the user's network namespace, not the host's;" \
            "use the host's engine (docker context use default, unset DOCKER_HOST)" ;;
    esac
    if docker --version 2>/dev/null | grep -qi podman; then
        die "the docker command is Podman's, and zmban's stack needs Docker Engine: remove podman-docker," \
            "or put Docker's client before it in PATH"
    fi
    endpoint=${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)}
    case $endpoint in
    '' | unix://*) ;;
    *) die "docker uses the engine of another host ($endpoint): routes would be written there;" \
        "unset DOCKER_HOST or: docker context use default" ;;
    esac
}

compose_works() {
    docker compose version >/dev/null 2>&1 || { have docker-compose && docker-compose version >/dev/null 2>&1; }
}

# Prints the name of the installed engine (dockerd, podman, containerd); nothing if there is none.
installed() {
    for name in dockerd podman containerd; do
        if have "$name"; then echo "$name"; return; fi
    done
    for name in /snap/bin/docker /snap/bin/docker.dockerd; do
        if [ -e "$name" ]; then echo dockerd; return; fi
    done
    if have dpkg-query; then
        for name in docker-ce docker.io moby-engine podman containerd containerd.io; do
            if dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed'; then
                case $name in podman | containerd*) echo "${name%.io}" ;; *) echo dockerd ;; esac
                return
            fi
        done
    fi
    for name in docker podman/podman containerd/containerd; do
        if [ -S "/run/$name.sock" ]; then echo "${name##*/}"; return; fi
    done
}

known_to_apt() { apt-cache show --no-all-versions "$1" 2>/dev/null | grep -q '^Version:'; }

# --no-remove: keep all packages of the host. Callers name the recommended packages that the engine needs.
install_packages() {
    need_root "installing Docker from the distribution's packages"
    have apt-get || die "no Docker engine, and no apt-get to install one: install Docker Engine, then try again"
    before=$(mktemp)
    dpkg-query -W -f '${Package}\n' | sort -u >"$before"
    say "installing: $* (from this host's distribution; no package is removed)"
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-remove --no-install-recommends "$@" >&2; then
        rm -f "$before"
        die "apt-get could not install $*: see the message above"
    fi
    mkdir -p "$SETUP"
    dpkg-query -W -f '${Package}\n' | sort -u | comm -13 "$before" - >>"$MARKER"
    rm -f "$before"
}

compose_package() {
    if known_to_apt docker-compose-v2; then echo docker-compose-v2; else echo docker-compose; fi
}

install_engine() {
    need_root "installing Docker from the distribution's packages"
    have apt-get || die "no Docker engine, and no apt-get to install one: install Docker Engine, then try again"
    apt-get update -q >/dev/null 2>&1 || say "apt-get update failed; using the existing package lists"
    set -- docker.io iptables ca-certificates
    if ! have docker && known_to_apt docker-cli; then set -- "$@" docker-cli; fi
    if ! compose_works; then set -- "$@" "$(compose_package)"; fi
    # With AppArmor in the kernel, containers need its parser to start.
    if [ -e /sys/module/apparmor ] && ! have apparmor_parser; then set -- "$@" apparmor; fi
    if ! grep -q ' cgroup2\{0,1\} ' /proc/mounts; then set -- "$@" cgroupfs-mount; fi
    install_packages "$@"
}

start_by_hand() {
    say "no service manager: starting dockerd directly, log in $LOGFILE"
    mkdir -p "$SETUP"
    setsid sh -c 'echo $$ >"$1"; exec dockerd >>"$2" 2>&1 </dev/null' sh "$PIDFILE" "$LOGFILE" &
}

start_engine() {
    need_root "starting the Docker engine"
    if [ -d /run/systemd/system ]; then
        systemctl start docker >&2 || die "systemctl start docker failed: see journalctl -u docker"
    elif [ -d /run/openrc ] || [ "$(cat /proc/1/comm)" = init ]; then
        service docker start >&2 || die "service docker start failed: see /var/log/docker.log"
    else
        start_by_hand
    fi
    tries=0
    until ask; do
        tries=$((tries + 1))
        [ "$tries" -le 60 ] || die "the Docker engine does not respond after a minute: see $LOGFILE"
        sleep 1
    done
}

# If a package script started the engine and no service manager will stop it, record its pid for clean.sh.
adopt() {
    if [ ! -d /run/systemd/system ] && [ ! -d /run/openrc ] && [ "$(cat /proc/1/comm)" != init ] &&
        [ ! -e "$PIDFILE" ] && [ -r /run/docker.pid ]; then
        cp /run/docker.pid "$PIDFILE"
    fi
}

refuse() {
    case $1 in
    dockerd)
        case $answer in
        *ermission\ denied*)
            die "$(id -un) has no permission for the Docker socket: run as root (sudo), or join the group docker" ;;
        esac
        die "the Docker engine is installed but does not respond: start it, e.g. systemctl start docker" ;;
    podman | containerd)
        die "$1 is installed, Docker is not: zmban's stack needs Docker Engine, and is not installed beside $1;" \
            "install Docker Engine yourself if both may run on this host" ;;
    *) die "the socket of $1 exists but does not respond as Docker: start Docker, or remove the socket" ;;
    esac
}

main() {
    if have docker && ask; then
        :
    else
        [ -z "${DOCKER_HOST:-}" ] || die "DOCKER_HOST=$DOCKER_HOST does not respond: unset it to use this host's engine"
        found=$(installed)
        if [ -z "$found" ]; then
            install_engine
            if ask; then adopt; else start_engine; fi
        elif [ "$found" = dockerd ] && [ -e "$MARKER" ]; then
            have docker || die "the docker command is missing: apt-get install docker.io"
            start_engine
        else
            refuse "$found"
        fi
    fi
    fit
    if ! compose_works; then
        [ -e "$MARKER" ] || die "Compose is missing: install docker-compose-plugin (Docker's packages)" \
            "or docker-compose (the distribution's)"
        install_packages "$(compose_package)"
    fi
    say "Docker ${answer%%|*} is running"
}

main "$@"
