#!/bin/sh
# Runs each fuzz target over its seeds (tests/fuzz/seeds/NAME/) and over mutations of them.
rc=0
for t in "$@"; do
	n=$(basename "$t" _fuzz)
	echo "# fuzz $n"
	timeout 600 "$t" --mutate "${FUZZ_RUNS:-2000}" tests/fuzz/seeds/"$n"/* || { echo "# fuzz $n: exit $?"; rc=1; }
done
exit $rc
