#!/bin/sh
# Unpacks a root file system and installs the demonstration's packages in it; in mount and pid namespaces of its own.
#
#   tree.sh TARBALL DIRECTORY
set -eu
DEMO=$(cd "$(dirname "$0")" && pwd)
tree=$2
mkdir "$tree"
tar -C "$tree" --numeric-owner -xzpf "$1"
mount -t proc proc "$tree/proc"
mount -t tmpfs tmpfs "$tree/tmp"
# apt in there finds its mirror as apt out here does: by the same name servers, through the same proxy.
cp -L /etc/resolv.conf "$tree/etc/resolv.conf"
apt-config dump | grep -E '^Acquire::[a-z]+::(Proxy|Verify|CaInfo)' >"$tree/etc/apt/apt.conf.d/host" || true
cp "$DEMO/packages" "$DEMO/install.sh" "$tree/tmp/"
chroot "$tree" sh /tmp/install.sh /tmp/packages
