#!/bin/sh
# Starts the demonstration on this host. On a terminal it shows the live status, else it waits and prints the summary.
#
# ZMBAN_BUILD=no uses the existing images.
set -eu
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"

refuse_beside_others() {
    found=$(foreign)
    [ -z "$found" ] || die "the demonstration cannot share a host: $found; both would write to the same routing table"
    if [ -z "$(containers demo-zmban)" ] && [ ! -e "$DEMO_MARKER" ] && [ -n "$(routes)" ]; then
        die "the routing table 2520 contains bans of another zmban (ip route show table 2520);" \
            "to remove them: zmban flush"
    fi
}

# True if a process listens on this TCP port at all addresses.
busy() {
    hex=$(printf ':%04X' "$1")
    awk -v port="$hex" '$4 == "0A" && $2 ~ port "$" && $2 ~ /^0+:/ { found = 1 } END { exit !found }' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

choose_ports() {
    for pair in SMTP:25 SMTPS:465 SUBMISSION:587 HTTPS:443 MAILBOXD:18080; do
        name=DEMO_${pair%:*}_PORT
        port=$(setting "$name" '')
        if [ -z "$port" ] && busy "${pair#*:}"; then
            port=$((20000 + ${pair#*:} % 10000))
            say "port ${pair#*:} is in use on this host: the test server uses $port"
        fi
        if [ -n "$port" ]; then export "$name=$port"; fi
    done
}

# Waits until the clients have finished; false if they do not finish in time.
wait_for_end() {
    clients=$(containers demo)
    deadline=$(($(date +%s) + $(setting DEMO_SECONDS 90) + 240))
    until docker exec "$clients" test -f /var/lib/zmban-demo/done 2>/dev/null; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        [ -n "$(containers demo)" ] || return 1
        sleep 2
    done
}

# Prints the address of the page.
page() {
    echo "the page: http://$(setting ZMBAN_SERVE_LISTEN 127.0.0.1:9177)/"
}

main() {
    sh "$ROOT/scripts/engine.sh"
    refuse_beside_others
    BASE=$(setting BASE '')
    [ -n "$BASE" ] || BASE=$(sh "$ROOT/scripts/base-image.sh")
    export BASE
    choose_ports
    # Start without state: bans and mistyped logins of an earlier run would distort the summary.
    remove_demo
    remove_demo_volumes
    remove_demo_routes
    # shellcheck disable=SC2086
    [ "${ZMBAN_BUILD:-}" = no ] || compose --profile demo build $DEMO_SERVICES
    mkdir -p "$SETUP" && touch "$DEMO_MARKER"
    compose --profile demo up -d demo || die "the stack did not start: see scripts/compose.sh --profile demo logs"
    [ -n "$(containers demo-zmban)" ] || { compose --profile demo logs demo-zmban >&2; die "zmban did not start"; }
    if [ -t 0 ] && [ -t 1 ]; then
        docker exec -it "$(containers demo-zmban)" zmban status --watch || true
        page
        say "the stack keeps running; scripts/summary.sh prints the summary, scripts/down.sh stops it"
        return
    fi
    wait_for_end || { compose --profile demo logs --tail 30 >&2; die "the clients did not finish"; }
    sh "$ROOT/scripts/summary.sh"
    page
}

main "$@"
