#!/bin/sh
# fetch-grammar.sh DIR: puts tree-sitter's parser of Go, parser.c and tree_sitter/parser.h, into DIR.
#
# It comes as a Go module from the configured GOPROXY: by the go command where there is one, which also has it in its cache
# once it was fetched, else by curl. Either way the two files must have the sums below. 0.23.4 is the newest that Debian's
# libtree-sitter takes.
set -eu
dir=$1
module=github.com/tree-sitter/tree-sitter-go version=v0.23.4
sums="3e412fb341a5ccb20455b34a8e3c1068cc064bd044146255fd47442458f5d575  parser.c
a1f6ef161fbaf48a0e10fca90ef5290a062462b307b3898aa562993853b9f80a  tree_sitter/parser.h"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

by_go() {
	command -v go >/dev/null || return 1
	where=$(cd / && GOFLAGS=-mod=mod go mod download -json "$module@$version" 2>"$work/go" |
		sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
	[ -n "$where" ] && src=$where/src
}

by_curl() {
	for proxy in $(echo "${GOPROXY:-https://proxy.golang.org}" | tr ',|' '  '); do
		case $proxy in http*) ;; *) continue ;; esac
		curl -fsS -m 60 --retry 2 -o "$work/zip" "$proxy/$module/@v/$version.zip" 2>"$work/curl" &&
			unzip -q "$work/zip" "$module@$version/src/*" -d "$work" 2>"$work/curl" || continue
		src=$work/$module@$version/src
		return 0
	done
	return 1
}

if ! by_go && ! by_curl; then
	cat "$work/go" "$work/curl" >&2 2>/dev/null || true
	echo "the grammar of Go, $module@$version, could not be fetched: it needs a Go module proxy (GOPROXY), and go or" \
		"curl and unzip. Where it is already: GRAMMAR=DIR, with parser.c and tree_sitter/parser.h in it" >&2
	exit 1
fi
mkdir -p "$dir/tree_sitter"
(cd "$src" && echo "$sums" | sha256sum --quiet -c -) >&2 || { echo "$src is not the grammar that is expected" >&2; exit 1; }
cat "$src/tree_sitter/parser.h" >"$dir/tree_sitter/parser.h"
cat "$src/parser.c" >"$dir/parser.c.new" # the cache's files are read-only
mv "$dir/parser.c.new" "$dir/parser.c"
