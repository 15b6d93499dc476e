#!/bin/sh
# Runs Compose, whichever version this host has, on zmban's stack: compose.sh --profile demo ps.
#
# ZMBAN_COMPOSE=1 or 2 asks for one of them; a version 2 that is missing is fetched into a cache. ZMBAN_PROJECT: another
# project than zmban.
set -eu
cd "$(dirname "$0")/.."
project=${ZMBAN_PROJECT:-zmban}
if [ "${ZMBAN_COMPOSE:-2}" = 2 ] && docker compose version >/dev/null 2>&1; then
    exec docker compose -p "$project" "$@"
fi
if [ "${ZMBAN_COMPOSE:-}" = 2 ]; then
    DOCKER_CONFIG=$(sh scripts/compose-v2.sh)
    export DOCKER_CONFIG
    exec docker compose -p "$project" "$@"
fi
exec docker-compose -p "$project" "$@"
