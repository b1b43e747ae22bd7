#!/bin/bash
# The patch planter on programs that count their own calls (tests/go/seq), for long: each is attached to and left
# so many times under load, and no number may be missing or come twice.
#
#   tests/soak.sh TEST CYCLES [PROGRAM...]
#
# TEST: the built tests/unit/patch_sequence_test. PROGRAM: as seq-go1.27-sw; all there are by default. Goes on after a
# failure; the last line is the sum.
set -u
test=$1 cycles=$2
shift 2
. "$(dirname "$0")/lib/env.sh"
[ $# -gt 0 ] || set -- $(cd "$EARSHOT_CACHE/bin" && ls -d seq-go*-plain seq-go*-sw seq-go*-pie seq-go*-cgo seq-go*-race seq-go*-plugin 2>/dev/null)
[ $# -gt 0 ] || { echo "no seq-go* was built; ./check prepare does it"; exit 1; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
programs=0 failed=0 done=0 events=0 refused=0
for program; do
	programs=$((programs + 1))
	if EARSHOT_PATCH_BINARIES=bin/$program EARSHOT_PATCH_CYCLES=$cycles EARSHOT_PATCH_MS=${SOAK_MS:-20} "$test" >"$log" 2>&1 &&
		line=$(grep -E '[0-9]+ cycles, [0-9]+ events' "$log"); then
		echo "${line##*/}"
		set -- $(echo "$line" | sed 's/.*: \([0-9]*\) cycles, \([0-9]*\) events, \([0-9]*\) refused/\1 \2 \3/')
		done=$((done + $1)) events=$((events + $2)) refused=$((refused + $3))
	else
		echo "$program: FAILED"
		sed 's/^/  /' "$log"
		failed=$((failed + 1))
	fi
done
echo "$programs programs, $done cycles, $events events, $refused refused, $failed failed"
[ "$failed" -eq 0 ]
