#!/bin/sh
# Waits until each given address is on an interface and has passed duplicate address detection.
set -eu
deadline=$(($(date +%s) + ${DEMO_WAIT:-120}))
for address in "$@"; do
    until ip -o address show to "$address" | grep -v tentative | grep -q .; do
        if [ "$(date +%s)" -ge "$deadline" ]; then
            echo "no interface has the address $address: is the demonstration's network up?" >&2
            exit 69
        fi
        sleep 0.5
    done
done
