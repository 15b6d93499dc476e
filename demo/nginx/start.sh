#!/bin/sh
# Starts the demonstration's nginx in the foreground.
#
# DEMO_ADDRESS, DEMO_ADDRESS6 (may be empty), DEMO_HTTPS_PORT: where to listen; DEMO_MAILBOXD_PORT: the simulated
# mailboxd on loopback; ZIMBRA_LOG_DIR: directory of the logs. Runs as root in a container or a chroot.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
DEMO=${HERE%/*}
LOG=${ZIMBRA_LOG_DIR:-/opt/zimbra/log}
ADDRESS=${DEMO_ADDRESS:?address to listen on}
ADDRESS6=${DEMO_ADDRESS6:-}
PORT=${DEMO_HTTPS_PORT:-443}

sh "$DEMO/wait-address.sh" "$ADDRESS" ${ADDRESS6:+"$ADDRESS6"}
sh "$DEMO/certificate.sh" /etc/nginx/certificate.pem /etc/nginx/key.pem
mkdir -p "$LOG"
# As in Zimbra: owned by zimbra, mode 640.
for name in nginx.log nginx.access.log; do
    touch "$LOG/$name"
    chown zimbra:zimbra "$LOG/$name"
    chmod 640 "$LOG/$name"
done
listen="listen $ADDRESS:$PORT ssl;"
if [ -n "$ADDRESS6" ]; then listen="$listen listen [$ADDRESS6]:$PORT ssl;"; fi
sed "s|@LOG@|$LOG|; s|@LISTEN@|$listen|; s|@MAILBOXD@|${DEMO_MAILBOXD_PORT:-18080}|" \
    "$HERE/nginx.conf" >/etc/nginx/nginx-demo.conf
exec nginx -c /etc/nginx/nginx-demo.conf -g 'daemon off;'
