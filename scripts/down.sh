#!/bin/sh
# Stops the demonstration and takes its containers, network and routes away; images and engine stay.
set -eu
# shellcheck source=scripts/stack.sh
. "$(dirname "$0")/stack.sh"

if ! docker info >/dev/null 2>&1; then
    say "no Docker engine answers: nothing to stop"
    exit 0
fi
remove_demo
remove_demo_volumes
remove_demo_routes
