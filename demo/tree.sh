#!/bin/sh
# Unpacks a root file system and installs the demonstration's packages in it. Runs in its own mount and pid namespaces.
#
#   tree.sh TARBALL DIRECTORY
set -eu
DEMO=$(cd "$(dirname "$0")" && pwd)
tree=$2
mkdir "$tree"
tar -C "$tree" --numeric-owner -xzpf "$1"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/tmp"
# Use the name servers and the apt proxy of the host.
cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
apt-config dump | grep -E '^Acquire::[a-z]+::(Proxy|Verify|CaInfo)' >"$tree/etc/apt/apt.conf.d/host" || true
cp "$DEMO/packages" "$DEMO/install.sh" "$tree/tmp/"
chroot "$tree" sh /tmp/install.sh /tmp/packages
