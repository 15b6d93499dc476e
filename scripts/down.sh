#!/bin/sh
# Stops the demonstration and removes its containers, network and routes. Keeps images and the Docker engine.
set -eu
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"

if ! docker info >/dev/null 2>&1; then
    say "no Docker engine responds: nothing to stop"
    exit 0
fi
remove_demo
remove_demo_volumes
remove_demo_routes
