#!/bin/bash
# Fetch the kernels that the tests' virtual machine runs, unpacked but not installed: Debian 12's 6.1 for clouds, and the
# newest that there is for Debian 13.
#
#   tests/vm/fetch.sh
#
# The first lies in $EARSHOT_CACHE/vm: vmlinuz, its version, and the modules of its network card, numbered in the order in
# which they are loaded; the other in its folder newest, without modules. What cannot be had is printed as "skip NAME: reason".

set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib/env.sh"
. "$here/../lib/debian.sh"
out=$EARSHOT_CACHE/vm
modules="failover net_failover virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_net"

take_modules() { # TREE
	local n=10 name
	rm -rf "$out/modules"
	mkdir "$out/modules"
	for name in $modules; do
		cp "$(find "$1/lib/modules" -name "$name.ko")" "$out/modules/$n-$name.ko" || return 1
		n=$((n + 1))
	done
}

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
		dpkg-deb --extract "$deb" "$tmp" && take_modules "$tmp" && mv "$tmp"/boot/vmlinuz-* "$out/vmlinuz" &&
			echo "${package#linux-image-}" >"$out/version"
	fi
	rm -rf "$tmp"
}

# Its package depends on one with the kernel alone.
fetch_newest() {
	local release=trixie-backports tmp version
	prepare "$release" || { echo "skip the newest kernel: apt-get update failed"; return; }
	tmp=$(mktemp -d "$out/.get-XXXXXX")
	version=$(fetch_deb "$release" linux-image-cloud-amd64 "$tmp" && dpkg-deb --field "$tmp"/*.deb Depends |
		grep -o 'linux-image-[0-9][^ ,]*' | head -1)
	version=${version#linux-image-}
	rm -f "$tmp"/*.deb
	if [ -z "$version" ] || ! fetch_deb "$release" "linux-binary-$version" "$tmp"; then
		echo "skip the newest kernel: apt-get download linux-binary-${version:-*-cloud-amd64} failed"
	else
		mkdir -p "$out/newest"
		dpkg-deb --extract "$tmp"/*.deb "$tmp" && cp "$(find "$tmp" -name 'vmlinuz*')" "$out/newest/vmlinuz" &&
			echo "$version" >"$out/newest/version"
	fi
	rm -rf "$tmp"
}

mkdir -p "$out"
apt_need qemu-system-x86 busybox-static ca-certificates || true
[ -s "$out/version" ] && [ -d "$out/modules" ] || fetch
[ -s "$out/newest/version" ] || fetch_newest
