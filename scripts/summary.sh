#!/bin/sh
# Prints the summary of the demonstration. Exit code 1 if a check failed (see demo/summary.py).
set -eu
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"

sidecar=$(containers demo-zmban)
clients=$(containers demo)
[ -n "$clients" ] || die "the demonstration does not run; start it with make up"
[ -n "$sidecar" ] || die "the demonstration's zmban has exited: see scripts/compose.sh --profile demo logs demo-zmban"
bans=$(mktemp)
trap 'rm -f "$bans"' EXIT
docker exec "$sidecar" zmban bans --jsonl >"$bans"
docker exec -i "$clients" python3 -m demo.summary <"$bans"
