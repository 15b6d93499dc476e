#!/bin/sh
# Installs the programs that the tests run: ip, setpriv, curl, nft, logrotate, Prometheus, Chromium, pflogsumm, Postfix with
# its PCRE and LMDB maps, Redis, and those given as arguments, each from the distribution's package of that name.
set -eu

say() { printf '%s\n' "tools: $*" >&2; }

# Policy that prevents packages from starting services while this script runs.
POLICY=/usr/sbin/policy-rc.d
wanted=
need() { # program package
    command -v "$1" >/dev/null 2>&1 || wanted="$wanted $2"
}
PATH=$PATH:/usr/sbin:/sbin
need ip iproute2
need setpriv util-linux
need curl curl
need promtool prometheus
need nft nftables
need logrotate logrotate
need chromium chromium
need pflogsumm pflogsumm
need postmap postfix
need redis-server redis-server
for map in pcre lmdb; do
    [ -e "/usr/lib/postfix/postfix-$map.so" ] || wanted="$wanted postfix-$map"
done
for name; do need "$name" "$name"; done
[ -n "$wanted" ] || exit 0
[ "$(id -u)" = 0 ] || { say "missing:$wanted; sudo apt-get install --no-install-recommends$wanted"; exit 69; }

say "installing$wanted"
if [ ! -e "$POLICY" ]; then
    trap 'rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
fi
apt-get update -q >/dev/null
# The tests bring their own configuration.
case $wanted in *postfix*) echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections ;; esac
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-remove --no-install-recommends $wanted >/dev/null
