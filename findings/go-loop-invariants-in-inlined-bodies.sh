#!/bin/sh
# Go 1.27 computes what a loop does not change in front of the loop, also out of the bodies of inlined calls.
#
# One would guess that the first address of an inlined call's body is reached once for each call. In
#
#	for i := 0; i < n; i++ {
#		s += invariant(k, i)
#	}
#
# the half of invariant's work that depends on k alone is part of the loop up to Go 1.26.11 (1.21 to 1.25 are the
# same). Go 1.27.4 moves it in front of the loop: the lowest address that the line table attributes to invariant runs
# once, even if n is 0 and there is no call at all, and the rest of the body runs n times. A breakpoint on the first
# address of the inlined body counts loops, not calls.
#
# Output (the compiler's listing; line 4 is invariant's body, the loop is between the target of its jump back and the
# jump):
#
#	go1.25.14: of invariant's instructions 0 lie in front of the loop, 5 in the loop
#	go1.26.11: of invariant's instructions 0 lie in front of the loop, 5 in the loop
#	go1.27.4: of invariant's instructions 4 lie in front of the loop, 2 in the loop
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

cat >"$tmp/p.go" <<'EOF'
package main

func invariant(k, x int) int {
	return (k*1234567+89)*(k+3) ^ x
}

//go:noinline
func unchanging(k, n int) (s int) {
	for i := 0; i < n; i++ {
		s += invariant(k, i)
	}
	return
}

func main() { println(unchanging(3, 20)) }
EOF

describe() { # VERSION: one line about unchanging, and its code to standard error
	go=$(toolchain "$1")/bin/go
	(cd "$tmp" && "$go" tool compile -p main -S -o p.o p.go) | grep -v -e FUNCDATA -e PCDATA -e 'unknown line' |
		sed -n '/TEXT.*main\.unchanging/,/RET/s/^.* 0*\([0-9][0-9]*\) (.*[(/]\(p\.go:[0-9]*\))/\1 \2/p' \
			>"$tmp/code"
	cat "$tmp/code" >&2
	awk -v go="go$1" '
		$2 == "p.go:4" { body[n++] = $1 }
		$3 == "JGT" { loop = $4; end = $1 }
		END {
			for (i = 0; i < n; i++)
				body[i] < loop ? front++ : inside++
			printf "%s: of invariant\047s instructions %d lie in front of the loop, %d in the loop\n", \
				go, front, inside
		}' "$tmp/code"
}

for version in 1.25.14 1.26.11 1.27.4; do
	describe "$version"
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
