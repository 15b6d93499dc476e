# What up.sh, down.sh and clean.sh share; to be sourced.
# shellcheck shell=sh

PROJECT=zmban
SETUP=/var/lib/zmban-setup
DEMO_MARKER=$SETUP/demo  # our demonstration may have written into this host's table 2520
DEMO_SERVICES='demo demo-zmban demo-postfix demo-nginx demo-mailboxd demo-road'
DEMO_VOLUMES='demo-state demo-log demo-syslog demo-report'
ROOT=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 69; }

# A variable of compose.yaml as Compose will see it: from the environment, else from .env, else the default.
setting() { # name default
    eval "value=\${$1:-}"
    if [ -z "$value" ] && [ -r "$ROOT/.env" ]; then
        value=$(sed -n "s/^$1=//p" "$ROOT/.env" | tail -n 1 | tr -d "\"'")
    fi
    echo "${value:-$2}"
}

compose() { sh "$ROOT/scripts/compose.sh" "$@"; }

# Containers of one service of our project, running or not with -a: ids, one a line.
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

# What on this host the demonstration must not stand beside, in words; nothing when it may.
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
        # In another network namespace it has another table.
        [ "$(readlink "${cmdline%/cmdline}/ns/net" 2>/dev/null)" = "$space" ] || continue
        if tr '\0' ' ' <"$cmdline" 2>/dev/null | grep -Eq '(^|[ /])zmban run( |$)'; then
            process=${cmdline%/cmdline}
            if ! in_ours "$process"; then
                echo "a zmban that is not this demonstration runs here (process ${process#/proc/})"
                return
            fi
        fi
    done
    if [ -n "$(containers zmban)" ]; then echo "this project's own zmban, the one for Zimbra, runs here"; fi
}

in_ours() {
    for id in $ours; do
        if grep -q "$id" "$1/cgroup" 2>/dev/null; then return 0; fi
    done
    return 1
}

# A running container, not of our project, whose name, image or mounts tell of a Zimbra or a zmban.
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

# The demonstration's containers and network.
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

# What our demonstration left in the kernel, where its zmban could not flush at its end.
remove_demo_routes() {
    [ -e "$DEMO_MARKER" ] || return 0
    [ -z "$(foreign)" ] || { say "the table 2520 is left alone: $(foreign)"; return 0; }
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
