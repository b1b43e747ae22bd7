# Shell functions that the scripts of this folder share. What a script makes lies in $tmp, which goes when it ends.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
unset GOROOT GOOS GOARCH
export GO111MODULE=on GOTOOLCHAIN=local GOFLAGS="-modcacherw -buildvcs=false" GOMODCACHE="$tmp/mod" GOCACHE="$tmp/cache"

# toolchain VERSION: prints the folder of that Go version; one that the tests have fetched will do.
toolchain() {
	module=golang.org/toolchain@v0.0.1-go$1.linux-amd64
	dir=${EARSHOT_CACHE:-/var/cache/earshot}/gomod/$module
	if [ ! -x "$dir/bin/go" ]; then
		dir=$tmp/mod/$module
		command -v go >/dev/null || { apt-get -qq update && apt-get -qq install -y golang-go; } >&2
		(cd "$tmp" && go mod download "$module") >&2 && chmod +x "$dir"/bin/* "$dir"/pkg/tool/*/* || return 1
	fi
	echo "$dir"
}
