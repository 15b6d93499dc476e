#!/bin/sh
# Runs Compose 1 or 2, whichever is installed, on zmban's stack. Example: compose.sh --profile demo ps
#
# ZMBAN_COMPOSE=1 or 2 selects a version; a missing version 2 is fetched into a cache.
# ZMBAN_PROJECT overrides the project name, zmban.
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
