#!/bin/sh
# Leads the addresses of the demonstration's clients to their container, and takes these routes away at its end.
#
# ROAD_DEVICE: the bridge; ROAD_CLIENTS, ROAD_CLIENTS6 (may be empty): the clients' container on it.
# One route for each address and none for their networks: some host may really use the rest of one.
set -eu
cd "$(dirname "$0")/.."
DEVICE=${ROAD_DEVICE:-zmban-demo0}
CLIENTS=${ROAD_CLIENTS:?address of the clients}
CLIENTS6=${ROAD_CLIENTS6:-}
PROTOCOL=223

# Only what carries our protocol and our device.
clear_routes() {
    for family in -4 -6; do ip "$family" route flush dev "$DEVICE" proto $PROTOCOL 2>/dev/null || true; done
}

finish() {
    trap - TERM INT EXIT
    clear_routes
    exit "$1"
}

trap 'finish 0' TERM INT
trap 'finish $?' EXIT
tries=0
until ip -o link show dev "$DEVICE" 2>/dev/null | grep -q 'state UP'; do
    tries=$((tries + 1))
    [ "$tries" -le 240 ] || { echo "the bridge $DEVICE does not come up" >&2; exit 69; }
    sleep 0.5
done
clear_routes
python3 -m demo.clients --addresses | while read -r address; do
    case $address in
    *:*) [ -z "$CLIENTS6" ] || echo "route add $address via $CLIENTS6 dev $DEVICE proto $PROTOCOL" ;;
    *) echo "route add $address via $CLIENTS dev $DEVICE proto $PROTOCOL" ;;
    esac
done | ip -batch - || { echo "this host has routes of its own to the demonstration's addresses" >&2; exit 69; }
echo "the roads to the clients are open"
while :; do sleep 3600 & wait $!; done
