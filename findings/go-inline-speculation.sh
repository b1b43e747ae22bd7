#!/bin/sh
# Go 1.26 and 1.27 run the body of an inlined call whether or not the call is made.
#
# One would guess that an instruction which the line table attributes to an inlined function runs only where that
# function is called. In
#
#	y := i
#	if i&3 == 1 {
#		y = plus(i)
#	}
#
# Go 1.25.14 (and 1.21 to 1.24) branches around plus's instruction. Go 1.26.11 and 1.27.4 leave no branch for the
# `if`: plus's instruction and the no-op at the line of the call run for each i, and a conditional move picks the
# result. The program's results are right. But a breakpoint, a profile or a count at the line of plus's body sees
# calls that the source does not make.
#
# Output (the compiler's listing; line 4 is plus's body, line 11 is the if, line 12 the call, line 14 uses the
# result):
#
#	go1.25.14: plus's LEAQ 7(BX), CX lies behind JNE of the if
#	go1.26.11: plus's LEAQ 7(CX), SI lies behind no branch of the if, CMOVQEQ picks the result
#	go1.27.4: plus's LEAQ 7(CX), SI lies behind no branch of the if, CMOVQEQ picks the result
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

cat >"$tmp/p.go" <<'EOF'
package main

func plus(x int) int {
	return x + 7
}

//go:noinline
func conditional(n int) (s int) {
	for i := 0; i < n; i++ {
		y := i
		if i&3 == 1 {
			y = plus(i)
		}
		s += y * 3
	}
	return
}

func main() { println(conditional(20)) }
EOF

describe() { # VERSION: one line about conditional, and its code to standard error
	go=$(toolchain "$1")/bin/go
	(cd "$tmp" && "$go" tool compile -p main -S -o p.o p.go) | grep -v -e FUNCDATA -e PCDATA |
		sed -n '/TEXT.*main\.conditional/,/RET/s/^.*[(/]\(p\.go:[0-9]*\))/\1/p' >"$tmp/code"
	cat "$tmp/code" >&2
	awk -v go="go$1" '
		$1 == "p.go:11" && $2 ~ /^J/ { branch = $2 }
		$1 == "p.go:4" && !body { sub(/^p.go:4\t/, ""); gsub(/\t/, " "); body = $0; behind = branch }
		$2 ~ /^CMOV/ { move = ", " $2 " picks the result" }
		END {
			print go ": plus\047s " body " lies behind " \
				(behind ? behind " of the if" : "no branch of the if") (branch ? "" : move)
		}' "$tmp/code"
}

for version in 1.25.14 1.26.11 1.27.4; do
	describe "$version"
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
