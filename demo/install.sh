#!/bin/sh
# Installs the demonstration's packages and Zimbra's user into the root that it runs in, an image's or a chroot's.
#
#   install.sh PACKAGES   a file that lists them
set -eu
export DEBIAN_FRONTEND=noninteractive

# The packages must not start services, nor Postfix's configure a mail server: the demonstration does both itself.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
fi
echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections
apt-get update -q
# shellcheck disable=SC2046
apt-get install -y -q --no-install-recommends $(cat "$1")
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
groupadd --system --gid 996 zimbra
useradd --system --uid 996 --gid 996 --no-create-home zimbra
mkdir -p /opt/zimbra/log
chown zimbra:zimbra /opt/zimbra/log
