#!/bin/sh
# Runs Compose, whichever version this host has, on zmban's stack: compose.sh --profile demo ps.
set -eu
cd "$(dirname "$0")/.."
if docker compose version >/dev/null 2>&1; then
    exec docker compose -p zmban "$@"
fi
exec docker-compose -p zmban "$@"
