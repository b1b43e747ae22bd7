#!/bin/bash
# Fetch the kernel that the tests' virtual machine runs: Debian 12's 6.1 for clouds, unpacked but not installed.
#
#   tests/vm/fetch.sh
#
# It lies in $EARSHOT_CACHE/vm/vmlinuz, its version beside it. What cannot be had is printed as "skip NAME: reason".

set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/env.sh"
. "$here/../lib/debian.sh"
out=$EARSHOT_CACHE/vm

fetch() {
	local tmp package deb
	prepare bookworm || { echo "skip the virtual machine: apt-get update failed"; return; }
	# The package with the version in its name: what the one without leads to.
	package=$(private_apt bookworm -s install linux-image-cloud-amd64 | sed -n 's/^Inst \(linux-image-6[^ ]*\) .*/\1/p')
	tmp=$(mktemp -d "$out/.get-XXXXXX")
	if ! fetch_deb bookworm "$package" "$tmp"; then
		echo "skip the virtual machine: apt-get download ${package:-linux-image-cloud-amd64} failed"
	else
		deb=$(echo "$tmp"/*.deb)
		dpkg-deb --fsys-tarfile "$deb" | tar --extract --directory="$tmp" --wildcards './boot/vmlinuz-*' &&
			echo "${package#linux-image-}" >"$out/version" &&
			mv "$tmp"/boot/vmlinuz-* "$out/vmlinuz"
	fi
	rm -rf "$tmp"
}

mkdir -p "$out"
apt_need qemu-system-x86 busybox-static ca-certificates || true
[ -s "$out/vmlinuz" ] || fetch
