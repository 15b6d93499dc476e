# Functions shared by up.sh, down.sh and clean.sh. To be sourced.
# shellcheck shell=sh

PROJECT=zmban
SETUP=/var/lib/zmban-setup
DEMO_MARKER=$SETUP/demo  # exists if the demonstration may have written to this host's table 2520
DEMO_SERVICES='demo demo-zmban demo-postfix demo-nginx demo-mailboxd demo-road'
DEMO_VOLUMES='demo-state demo-domains demo-log demo-syslog demo-report'
ROOT=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 69; }

# Prints a variable of compose.yaml as Compose sees it: from the environment, else from .env, else the default.
setting() { # name default
    eval "value=\${$1:-}"
    if [ -z "$value" ] && [ -r "$ROOT/.env" ]; then
        value=$(sed -n "s/^$1=//p" "$ROOT/.env" | tail -n 1 | tr -d "\"'")
    fi
    echo "${value:-$2}"
}

compose() { sh "$ROOT/scripts/compose.sh" "$@"; }

# Prints the ids of the project's containers of one service, one per line; with -a also stopped ones.
containers() {
    service=$1
    shift
    docker ps -q --no-trunc "$@" --filter "label=com.docker.compose.project=$PROJECT" \
        --filter "label=com.docker.compose.service=$service"
}

routes() {
    ip -4 route show table 2520 2>/dev/null || true
    ip -6 route show table 2520 2>/dev/null || true
}

# Prints why the demonstration must not run on this host (a Zimbra or another zmban); nothing if it may.
foreign() {
    for exe in /proc/[0-9]*/exe; do
        case $(readlink "$exe" 2>/dev/null || true) in
        /opt/zimbra/*) echo "a Zimbra runs here (process $(basename "${exe%/exe}"))"; return ;;
        esac
    done
    ours=$(docker ps -q --no-trunc --filter "label=com.docker.compose.project=$PROJECT" 2>/dev/null || true)
    foreign_container && return
    space=$(readlink /proc/self/ns/net)
    for cmdline in /proc/[0-9]*/cmdline; do
        # A process in another network namespace has its own routing table.
        [ "$(readlink "${cmdline%/cmdline}/ns/net" 2>/dev/null)" = "$space" ] || continue
        if tr '\0' ' ' <"$cmdline" 2>/dev/null | grep -Eq '(^|[ /])zmban run( |$)'; then
            process=${cmdline%/cmdline}
            if ! in_ours "$process"; then
                echo "another zmban runs here (process ${process#/proc/})"
                return
            fi
        fi
    done
    if [ -n "$(containers zmban)" ]; then echo "this project's production zmban runs here"; fi
}

in_ours() {
    for id in $ours; do
        if grep -q "$id" "$1/cgroup" 2>/dev/null; then return 0; fi
    done
    return 1
}

# Prints a running container of another project that is a Zimbra or a zmban by name, image or mounts; else false.
foreign_container() {
    ids=$(docker ps -q)
    [ -n "$ids" ] || return 1
    format='{{index .Config.Labels "com.docker.compose.project"}}|{{.Name}}|{{.Config.Image}}'
    format="$format"'|{{range .Mounts}}{{.Name}} {{.Source}} {{.Destination}} {{end}}'
    # shellcheck disable=SC2086
    found=$(docker inspect --format "$format" $ids |
        awk -F'|' -v ours="$PROJECT" '
            $1 == ours { next }
            $3 ~ /(^|\/)zmban(:|@|$)/ { print "the container " $2 " is another zmban (" $3 ")"; exit }
            tolower($0) ~ /zimbra/ { print "the container " $2 " looks like a Zimbra (" $3 ")"; exit }')
    [ -n "$found" ] && echo "$found"
}

# Removes the demonstration's containers and network.
remove_demo() {
    # shellcheck disable=SC2086
    compose --profile demo rm -s -f $DEMO_SERVICES >/dev/null 2>&1 || true
    for service in $DEMO_SERVICES; do
        for id in $(containers "$service" -a); do docker rm -f "$id" >/dev/null; done
    done
    docker network rm "${PROJECT}_demo" >/dev/null 2>&1 || true
}

remove_demo_volumes() {
    for volume in $DEMO_VOLUMES; do docker volume rm "${PROJECT}_$volume" >/dev/null 2>&1 || true; done
}

# Removes what the demonstration left in the kernel if its zmban could not flush at its end.
remove_demo_routes() {
    [ -e "$DEMO_MARKER" ] || return 0
    [ -z "$(foreign)" ] || { say "routing table 2520 not cleaned: $(foreign)"; return 0; }
    image=zmban:$(setting ZMBAN_TAG latest)
    if docker image inspect "$image" >/dev/null 2>&1; then
        timeout 60 docker run --rm --network host --cap-drop ALL --cap-add NET_ADMIN "$image" flush \
            >/dev/null 2>&1 || true
    fi
    for family in -4 -6; do
        ip "$family" route flush table 2520 proto 222 2>/dev/null || true
        while ip "$family" rule del lookup 2520 2>/dev/null; do :; done
        ip "$family" route flush dev zmban-demo0 proto 223 2>/dev/null || true
    done
    nft delete table inet zmban 2>/dev/null || true
    rm -f "$DEMO_MARKER"
}
