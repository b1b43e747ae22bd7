#!/bin/bash
# Fetch the Go toolchains under test.
#
#   tests/lib/toolchains.sh            all minors of GO_MINORS
#   tests/lib/toolchains.sh 1.19 1.27  only these
#
# Each becomes $EARSHOT_CACHE/toolchains/go1.XX (a symlink to a GOROOT): a
# golang.org/toolchain module from the Go module proxy, fetched by whatever go
# the Debian release has, so a machine without any Go needs nothing but apt.
# What cannot be had is printed on standard output as "skip go1.XX: reason"
# and is not an error.

set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"

boot=/usr/lib/go/bin/go # Debian's golang-go

# The patch releases to fall back on when the proxy's list cannot be read.
pinned="1.19.13 1.20.14 1.21.13 1.22.12 1.23.12 1.24.13 1.25.5 1.26.8 1.27.4"

# proxy_list: the released toolchain versions of this platform, sorted.
proxy_list() {
	local proxy
	proxy=$("$boot" env GOPROXY | tr ',|' '\n\n' | grep '^https\?://' | head -1)
	curl -fsS -m 60 --retry 2 "${proxy:-https://proxy.golang.org}/golang.org/toolchain/@v/list" |
		sed -n 's/^v0\.0\.1-go\([0-9]*\.[0-9]*\.[0-9]*\)\.linux-amd64$/\1/p' | sort -V
}

newest_of() { # MINOR
	{ printf '%s\n' "$releases" $pinned; } | grep "^${1//./\\.}\." | sort -V | tail -1
}

# Files in the module cache carry no executable bit: the go command sets it
# only when it fetches a toolchain for itself.
mark_executable() { # GOROOT
	chmod -f +x "$1"/bin/* "$1"/pkg/tool/linux_amd64/* 2>/dev/null
	chmod -f u+w "$1/bin" "$1/pkg" 2>/dev/null
	return 0
}

fetch_module() { # MINOR
	local minor=$1 version dir
	version=$(newest_of "$minor")
	[ -n "$version" ] || { echo "skip go$minor: the module proxy lists no release"; return; }
	dir=$GOMODCACHE/golang.org/toolchain@v0.0.1-go$version.linux-amd64
	if [ ! -d "$dir" ]; then
		(cd / && GO111MODULE=on timeout --foreground 600 "$boot" mod download \
			"golang.org/toolchain@v0.0.1-go$version.linux-amd64") >&2 ||
			{ echo "skip go$minor: go mod download of go$version failed"; return; }
		# The archive has served its purpose once it is unpacked.
		rm -f "$GOMODCACHE/cache/download/golang.org/toolchain/@v/v0.0.1-go$version.linux-amd64.zip"
	fi
	mark_executable "$dir"
	use "$minor" "$dir"
}

use() { # MINOR GOROOT
	if ! "$2/bin/go" version >/dev/null 2>&1; then
		echo "skip go$1: $2/bin/go does not run"
		return
	fi
	ln -sfn "$2" "$EARSHOT_CACHE/toolchains/go$1"
	say "go$1: $("$2/bin/go" version)"
}

mkdir -p "$EARSHOT_CACHE/toolchains"
todo=()
for minor in ${@:-$GO_MINORS}; do
	[ -x "$EARSHOT_CACHE/toolchains/go$minor/bin/go" ] || todo+=("$minor")
done
[ ${#todo[@]} = 0 ] && exit 0

apt_need golang-go ca-certificates curl || say "apt could not install golang-go"
if [ ! -x "$boot" ]; then
	for minor in "${todo[@]}"; do echo "skip go$minor: golang-go is not installable"; done
	exit 0
fi
releases=$(proxy_list)
for minor in "${todo[@]}"; do
	fetch_module "$minor" &
	# Two at a time: unpacking and checksumming keep a core busy.
	while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n; done
done
wait
