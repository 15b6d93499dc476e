#!/bin/sh
# Prints what became of the demonstration's attackers and clients; ends with 1 if a promise was broken.
set -eu
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"

sidecar=$(containers demo-zmban)
clients=$(containers demo)
[ -n "$clients" ] || die "the demonstration does not run: make up"
[ -n "$sidecar" ] || die "the demonstration's zmban has ended: see scripts/compose.sh --profile demo logs demo-zmban"
bans=$(mktemp)
trap 'rm -f "$bans"' EXIT
docker exec "$sidecar" zmban bans --jsonl >"$bans"
docker exec -i "$clients" python3 -m demo.summary <"$bans"
