#!/bin/sh
# Adds the clients' addresses to loopback, runs the clients, and then keeps running, so that the network stays.
#
# DEMO_ADDRESS, DEMO_ADDRESS6 (may be empty), DEMO_*_PORT: the servers; DEMO_SECONDS: duration; DEMO_REPORT: report file.
set -eu
cd "$(dirname "$0")/.."
REPORT=${DEMO_REPORT:-/var/lib/zmban-demo/attempts.jsonl}
DONE=${REPORT%/*}/done

rm -f "$DONE"
python3 -m demo.clients --addresses | while read -r address; do
    case $address in
    *:*) ip -6 address replace "$address" dev lo nodad ;;
    *) ip address replace "$address" dev lo ;;
    esac
done
status=0
python3 -m demo.clients --host "${DEMO_ADDRESS:?address of the servers}" --host6 "${DEMO_ADDRESS6:-}" \
    --ports "${DEMO_SMTP_PORT:-25},${DEMO_SMTPS_PORT:-465},${DEMO_SUBMISSION_PORT:-587},${DEMO_HTTPS_PORT:-443}" \
    --report "$REPORT" --seconds "${DEMO_SECONDS:-90}" || status=$?
echo "$status" >"$DONE"
echo "the clients have finished; the servers stay up until the stack is stopped"
trap 'exit 0' TERM INT
while :; do sleep 3600 & wait $!; done
