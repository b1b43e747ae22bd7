#!/bin/bash
# Fetch and build what the tests run on, at low priority. What cannot be had is
# printed as "skip NAME: reason".
#
#   tests/lib/prepare.sh programs    what the unit tests read, and most end-to-end tests run
#   tests/lib/prepare.sh rest        what only end-to-end tests need: large programs, another Debian's root
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
renice -n 15 $$ >/dev/null
case $1 in
programs)
	"$here/toolchains.sh"
	{ "$here/third_party.sh"; "$here/../vm/fetch.sh"; } &
	"$here/build.sh"
	;;
rest)
	"$here/release.sh" fetch "$EARSHOT_OTHER_RELEASE" &
	"$here/build.sh" modules
	;;
esac
wait
