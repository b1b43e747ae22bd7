#!/bin/sh
# Runs each cmocka program given, under a time limit; fails if any fails.
rc=0
for t in "$@"; do
	echo "# $t"
	timeout 300 "$t" || { echo "# $t: exit $?"; rc=1; }
done
exit $rc
