#!/bin/sh
# Installs the demonstration's packages and the user zimbra; runs in an image or a chroot.
#
#   install.sh PACKAGES   file with the package names
set -eu
export DEBIAN_FRONTEND=noninteractive

# Prevent packages from starting services and Postfix from being configured: the demonstration does both.
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
