#!/bin/bash
# Unpacks the packages of Debian 12 that carry USDT probes, and their relatives that do not, for `make soak-usdt`:
# $EARSHOT_CACHE/third-party/usdt/PACKAGE. Prints that folder.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
. "$here/debian.sh"

# With probes, then without: C's library, GLib, systemd, MariaDB, Node, QEMU.
packages="openjdk-17-jre-headless postgresql-15 sssd-common libvirt0 libvirt-daemon
	libvirt-daemon-driver-qemu libruby3.1 php8.2-cli libphp8.2-embed python3.11-minimal libpython3.11 python3.11-dbg libstdc++6
	gcc-12 libc6 libglib2.0-0 systemd mariadb-server-core libnode108 qemu-system-x86"

to=$base/usdt
mkdir -p "$to"
prepare bookworm
for p in $packages; do
	[ -e "$to/$p" ] && continue
	tmp=$(mktemp -d "$to/.get-XXXXXX")
	fetch_deb bookworm "$p" "$tmp"
	mkdir "$tmp/tree"
	dpkg -x "$tmp"/*.deb "$tmp/tree"
	mv "$tmp/tree" "$to/$p"
	rm -rf "$tmp"
done
echo "$to"
