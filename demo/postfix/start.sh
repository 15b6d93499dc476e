#!/bin/sh
# Runs the demonstration's Postfix with rsyslog and saslauthd, and stops them together.
#
# DEMO_ADDRESS, DEMO_ADDRESS6 (may be empty): where to listen; DEMO_SMTP_PORT, DEMO_SMTPS_PORT, DEMO_SUBMISSION_PORT;
# ZIMBRA_SYSLOG: the log file; DEMO_DOMAINS (may be unset): directory of zmban's maps of refused domains.
# Runs as root in a container or a chroot.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
DEMO=${HERE%/*}
LOG=${ZIMBRA_SYSLOG:-/var/log/zimbra.log}
SOCKET=${DEMO_SYSLOG_SOCKET:-/dev/log}
ADDRESS=${DEMO_ADDRESS:?address to listen on}
ADDRESS6=${DEMO_ADDRESS6:-}

configure() {
    mkdir -p /etc/postfix/sasl "${LOG%/*}"
    sh "$DEMO/certificate.sh" /etc/postfix/certificate.pem /etc/postfix/key.pem
    cp "$HERE/main.cf" /etc/postfix/main.cf
    listen=$ADDRESS
    if [ -n "$ADDRESS6" ]; then listen="$ADDRESS [$ADDRESS6]"; fi
    {
        echo "inet_interfaces = $(echo "$listen" | tr -d '[]')"
        sed -n 's/^\([^#@ ]*@[^ ]*\) .*/ { \1 = x },/p' "$DEMO/accounts.txt" | tr -d '\n' |
            sed 's/^/virtual_mailbox_maps = inline:{/; s/,$/ }/'
        echo
    } >>/etc/postfix/main.cf
    {
        for at in $listen; do sed '/^@ONCE@/,$d' "$HERE/master.cf" | sed "s/@ADDRESS@/$at/"; done
        sed '1,/^@ONCE@/d' "$HERE/master.cf"
    } | sed "s/@SMTP@/${DEMO_SMTP_PORT:-25}/; s/@SMTPS@/${DEMO_SMTPS_PORT:-465}/
        s/@SUBMISSION@/${DEMO_SUBMISSION_PORT:-587}/" >/etc/postfix/master.cf
    # Resolve names by /etc/hosts only, so that PTR results do not depend on a name server.
    echo 'hosts: files' >/etc/nsswitch.conf
    grep -q 'users\.example\.net' /etc/hosts || cat "$DEMO/hosts" >>/etc/hosts
    sed "s|@SOCKET@|$SOCKET|; s|@LOG@|$LOG|" "$HERE/rsyslog.conf" >/etc/rsyslog-demo.conf
}

accounts() {
    printf 'pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\nsaslauthd_path: /run/saslauthd/mux\n' \
        >/etc/postfix/sasl/smtpd.conf
    grep -v '^#' "$DEMO/accounts.txt" | while read -r account password; do
        printf '%s' "$password" | saslpasswd2 -p -c -u "${account#*@}" "${account%@*}"
    done
}

# Wires the maps of refused domains as soon as zmban has written them: Postfix accepts no mail without a map that it names.
wire_domains() {
    until [ -e "$DEMO_DOMAINS/changed.lmdb" ] && [ -S /var/spool/postfix/public/pickup ]; do sleep 1; done
    senders="check_sender_access pcre:$DEMO_DOMAINS/sender_access.pcre, check_sender_access lmdb:$DEMO_DOMAINS/changed"
    headers="pcre:$DEMO_DOMAINS/header_checks.pcre, lmdb:$DEMO_DOMAINS/changed"
    postconf -e "smtpd_sender_restrictions = $senders" "header_checks = $headers" "nested_header_checks ="
    postfix reload
}

stop() {
    trap - TERM INT EXIT
    postfix stop >/dev/null 2>&1 || true
    # shellcheck disable=SC2086
    kill $children 2>/dev/null || true
    wait
}

sh "$DEMO/wait-address.sh" "$ADDRESS" ${ADDRESS6:+"$ADDRESS6"}
configure
accounts
mkdir -p /run/saslauthd && chmod 755 /run/saslauthd
rm -f /run/saslauthd/* "$SOCKET" /var/spool/postfix/pid/master.pid
rsyslogd -n -f /etc/rsyslog-demo.conf -i NONE &
children=$!
saslauthd -d -a sasldb -n 2 -m /run/saslauthd >/dev/null 2>&1 &
children="$children $!"
trap stop TERM INT EXIT
until [ -S "$SOCKET" ]; do sleep 0.1; done
postfix start-fg &
master=$!
if [ -n "${DEMO_DOMAINS:-}" ]; then
    wire_domains &
    children="$children $!"
fi
wait "$master"
