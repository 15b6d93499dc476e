#!/bin/sh
# Adds routes for the clients' addresses to the clients' container, and removes them when it stops.
#
# ROAD_DEVICE: the bridge; ROAD_CLIENTS, ROAD_CLIENTS6 (may be empty): addresses of the clients' container on it.
# One route per address, none for whole networks: this host may use other addresses of these networks.
set -eu
cd "$(dirname "$0")/.."
DEVICE=${ROAD_DEVICE:-zmban-demo0}
CLIENTS=${ROAD_CLIENTS:?address of the clients}
CLIENTS6=${ROAD_CLIENTS6:-}
PROTOCOL=223

# Removes only routes with this protocol number and device.
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
done | ip -batch - || { echo "this host already has routes to the demonstration's addresses" >&2; exit 69; }
echo "routes to the clients added"
while :; do sleep 3600 & wait $!; done
