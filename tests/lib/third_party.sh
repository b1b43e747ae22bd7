#!/bin/bash
# Fetch stripped Go programs that others built: packages of Debian 12 and 13,
# unpacked but not installed.
#
# Binaries land in $EARSHOT_CACHE/third-party/{bookworm,trixie}/PACKAGE/…, and
# third-party/{bookworm,trixie}/root is a minimal root directory (the
# release's C library) for programs that need a newer one than this machine
# has, and for the tests with another mount namespace.
# What cannot be had is printed as "skip PACKAGE (RELEASE): reason".

set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
. "$here/debian.sh"

packages="caddy prometheus prometheus-node-exporter etcd-server nats-server rclone syncthing hugo"
# What they link against, for the root directories; trixie also has upx, which
# bookworm has not (libsharpyuv0 is a package of its own there).
root_packages="libc6 libgcc-s1 libstdc++6 libzstd1 libwebp7 libsass1"
trixie_only="libsharpyuv0 libucl1 zlib1g upx-ucl"

# merge_usr DIRECTORY: move /lib and its like under /usr. Bookworm's packages
# still ship some files there, trixie's no longer.
merge_usr() {
	local p
	for p in lib lib64 bin sbin; do
		[ -d "$1/$p" ] || continue
		mkdir -p "$1/usr/$p"
		cp -a "$1/$p/." "$1/usr/$p/" && rm -rf "${1:?}/$p"
	done
}

unpack() { # RELEASE PACKAGE DESTINATION
	local tmp deb
	tmp=$(mktemp -d "$base/$1/.get-XXXXXX")
	if ! fetch_deb "$1" "$2" "$tmp"; then
		rm -rf "$tmp"
		echo "skip $2 ($1): apt-get download failed"
		return 0
	fi
	deb=$(echo "$tmp"/*.deb)
	mkdir -p "$tmp/tree"
	if dpkg -x "$deb" "$tmp/tree"; then
		merge_usr "$tmp/tree"
		mkdir -p "$3" && cp -a "$tmp/tree/." "$3/" && : >"$base/$1/.have/$2"
	fi
	rm -rf "$tmp"
}

# wanted RELEASE: "PACKAGE DESTINATION" lines.
wanted() {
	local p extra=
	[ "$1" = trixie ] && extra=$trixie_only
	for p in $packages; do echo "$p $base/$1/$p"; done
	for p in $root_packages $extra; do echo "$p $base/$1/root"; done
}

have() { # RELEASE PACKAGE
	[ -e "$base/$1/.have/$2" ]
}

fetch_release() { # RELEASE
	local p destination prepared=
	mkdir -p "$base/$1/.have"
	while read -r p destination; do
		have "$1" "$p" && continue
		if [ -z "$prepared" ]; then
			prepare "$1" || { echo "skip Debian $1's programs: apt-get update failed"; return 0; }
			prepared=yes
		fi
		unpack "$1" "$p" "$destination"
	done < <(wanted "$1")
	make_root "$base/$1/root"
}

# make_root DIRECTORY: what a program's root directory needs besides files.
make_root() {
	local p
	for p in lib lib64 bin sbin; do
		mkdir -p "$1/usr/$p"
		[ -e "$1/$p" ] || ln -s "usr/$p" "$1/$p"
	done
	mkdir -p "$1"/{proc,tmp,dev,etc}
}

mkdir -p "$base"
apt_need ca-certificates || true
fetch_release bookworm
fetch_release trixie
