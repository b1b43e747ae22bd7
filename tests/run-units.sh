#!/bin/sh
# Runs each cmocka program given, under a time limit; fails if any fails.
rc=0
for t in "$@"; do
	echo "# $t"
	began=$(date +%s)
	timeout 300 "$t" || { echo "# $t: exit $?"; rc=1; }
	echo "# $t: $(($(date +%s) - began)) s"
done
exit $rc
