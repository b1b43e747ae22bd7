#!/bin/bash
# ./demo from nothing, then the unit tests, on each Debian release that README promises, in a root directory of its own.
#
#   tests/releases.sh [RELEASE...]
set -u
cd "$(dirname "$0")/.." || exit 2
. tests/lib/env.sh
[ $# -gt 0 ] || set -- bookworm trixie
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

try() { # NAME SECONDS RELEASE COMMAND...
	local name=$1 limit=$2 started=$SECONDS; shift 2
	if timeout --kill-after=15 "$limit" tests/lib/release.sh run "$@" >"$log" 2>&1; then
		echo "ok - $name ($((SECONDS - started)) s)"
	else
		tail -40 "$log" | sed 's/^/#   /'
		echo "not ok - $name"
		failed=$((failed + 1))
	fi
}

for release; do
	# From nothing: the root is made anew, and the demo finds no cache.
	rm -f "$EARSHOT_CACHE/releases/$release/.complete"
	tests/lib/release.sh fetch "$release"
	try "$release: ./demo" 400 "$release" env EARSHOT_CACHE=/var/tmp/earshot DEMO_PORT=18081 ./demo
	try "$release: unit tests" 900 "$release" sh -ec '
		DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends libcmocka-dev
		make -j2 WERROR=-Werror unit'
done
[ "$failed" -eq 0 ]
