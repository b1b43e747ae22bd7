#!/bin/bash
# Debian releases, each as a root directory with nothing but its smallest system, to try there what a user of it would.
#
#   tests/lib/release.sh fetch RELEASE...          make the roots, where they are not there yet
#   tests/lib/release.sh run RELEASE COMMAND...    run a command there, in a fresh copy of this tree
#
# The roots are $EARSHOT_CACHE/releases/RELEASE. They see this machine's certificates, and the cache itself at its own
# path, so that Go programs are not built twice. What cannot be had is printed as "skip NAME: reason".

set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
base=$EARSHOT_CACHE/releases
tree=$(cd "$here/../.." && pwd)

fetch() { # RELEASE
	local root=$base/$1 log
	[ -e "$root/.complete" ] && return 0
	log=$(mktemp)
	rm -rf "$root"
	mkdir -p "$root"
	if timeout --foreground 900 debootstrap --variant=minbase --include=ca-certificates,util-linux "$1" "$root" >"$log" 2>&1; then
		: >"$root/.complete"
	else
		echo "skip Debian $1: debootstrap failed: $(tail -1 "$log")"
	fi
	rm -f "$log"
}

run() { # RELEASE COMMAND...
	local root=$base/$1; shift
	[ -e "$root/.complete" ] || { echo "no root of that release: tests/lib/release.sh fetch makes it" >&2; return 1; }
	rm -rf "$root/earshot"
	mkdir -p "$root/earshot" "$root$EARSHOT_CACHE"
	tar --create --directory="$tree" --exclude='./build*' --exclude=./.git . | tar --extract --directory="$root/earshot"
	cp -f /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
	cp -f /etc/resolv.conf /etc/hosts "$root/etc/"
	# The mounts end with the namespace, and what runs in it with its first process.
	root=$root unshare --mount --pid --fork --kill-child bash -euc '
		mount -t proc proc "$root/proc"
		mount --rbind /sys "$root/sys"
		mount --rbind /dev "$root/dev"
		mount --bind "$EARSHOT_CACHE" "$root$EARSHOT_CACHE"
		exec chroot "$root" /bin/sh -c '\''cd /earshot && exec "$@"'\'' sh "$@"' sh "$@"
}

case ${1:-} in
fetch) shift; apt_need debootstrap; for release; do fetch "$release"; done ;;
run) shift; run "$@" ;;
*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
