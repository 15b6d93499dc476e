#!/bin/sh
# Removes everything that make up, make demo and make venv have created on this host, except the engine's packages.
set -eu
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"
PIDFILE=$SETUP/dockerd.pid

# Keeps the database and the refused domains of a production zmban.
remove_volumes() {
    remove_demo_volumes
    for volume in zimbra-log zimbra-syslog prometheus-data grafana-data zmban-state zmban-domains; do
        name=${PROJECT}_$volume
        place=$(docker volume inspect --format '{{.Mountpoint}}' "$name" 2>/dev/null) || continue
        if [ "$volume" = zmban-state ] && [ -e "$place/zmban.sqlite3" ]; then
            say "kept: the volume $name contains the bans of a production zmban (docker volume rm $name)"
        elif [ "$volume" = zmban-domains ] && grep -qs '^/' "$place/sender_access.pcre"; then
            say "kept: the volume $name contains the refused domains of a production zmban (docker volume rm $name)"
        else
            docker volume rm "$name" >/dev/null 2>&1 || true
        fi
    done
}

remove_images() {
    for image in $(docker image ls --format '{{.Repository}}:{{.Tag}}' |
        grep -E '^(zmban|zmban-demo|zmban-base):' || true); do
        docker image rm "$image" >/dev/null 2>&1 || true
    done
    docker image prune -f --filter label=zmban.part >/dev/null
    # The build cache of Compose v2 has no owner label: remove it only if these scripts installed the engine.
    if [ -e "$SETUP/engine" ]; then docker builder prune -a -f >/dev/null 2>&1 || true; fi
    # Base images, now that no layer of an earlier build refers to them.
    for image in $(docker image ls -q zmban-base); do docker image rm "$image" >/dev/null 2>&1 || true; done
}

remove_namespaces() {
    for name in $(ip netns list 2>/dev/null | awk '/^zmban-/ { print $1 }'); do ip netns del "$name"; done
}

# Stops the engine if these scripts started it, unless it runs other containers.
stop_engine() {
    [ -r "$PIDFILE" ] || return 0
    pid=$(cat "$PIDFILE")
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        if [ -n "$(docker ps -q)" ]; then
            say "dockerd (process $pid) keeps running: it runs other containers"
            return 0
        fi
        kill "$pid"
        tries=0
        while [ -d "/proc/$pid" ] && [ "$tries" -lt 60 ]; do
            tries=$((tries + 1))
            sleep 0.5
        done
    fi
    rm -f "$PIDFILE"
}

remove_files() {
    rm -rf "${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/zmban" "$ROOT/.venv" "$ROOT/.cache"
}

if docker info >/dev/null 2>&1; then
    remove_demo
    # Containers of the monitoring profile, running or stopped.
    for service in prometheus grafana; do
        for id in $(containers "$service" -a); do docker rm -f "$id" >/dev/null; done
    done
    remove_demo_routes
    if [ -n "$(containers zmban -a)" ]; then
        say "kept: this project's production zmban, with its image and volumes (scripts/compose.sh down)"
        remove_demo_volumes
    else
        remove_volumes
        remove_images
    fi
    remove_namespaces
    stop_engine
else
    remove_namespaces
fi
remove_files
