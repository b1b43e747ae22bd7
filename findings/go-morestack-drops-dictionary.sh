#!/bin/sh
# A Go function keeps all register arguments over a growth of its stack, or none: a generic method's dictionary too.
#
# When the stack must grow, a Go function calls runtime.morestack and starts again at its first instruction. One would
# guess that its argument registers then hold again what the caller passed: the block that makes the call stores each
# of them and loads it afterwards. It does if the function uses any of them, and then also those that the function
# does not use. If the function uses none, the block saves none. That is right for the function, which never reads
# them. But who reads them at the function's first instruction (a debugger, a tracer) need not find the caller's
# values there.
#
# A generic method with a large receiver easily is such a function: the receiver comes on the stack, and the first
# register argument is the dictionary, which tells the types that the method was called with and is often not needed.
#
# Output (the compiler's listing; AX brings the dictionary, BX brings n; sum uses neither, plus uses n alone, kind the
# dictionary alone):
#
#	go1.21.13: sum's block saves nothing, calls morestack, restores nothing; AX is written first, BX is not used
#	go1.21.13: plus's block saves AX BX, calls morestack, restores AX BX
#	go1.21.13: kind's block saves AX BX, calls morestack, restores AX BX
#	go1.27.4: sum's block saves nothing, calls morestack, restores nothing; AX is written first, BX is not used
#	go1.27.4: plus's block saves AX BX, calls morestack, restores AX BX
#	go1.27.4: kind's block saves AX BX, calls morestack, restores AX BX
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

cat >"$tmp/p.go" <<'EOF'
package main

type box[T any] struct {
	numbers [9]int
	value   T
}

//go:noinline
func (b box[T]) sum(n int) (s int) {
	for _, v := range b.numbers {
		s += v
	}
	println(s)
	return
}

//go:noinline
func (b box[T]) plus(n int) (s int) {
	for _, v := range b.numbers {
		s += v + n
	}
	println(s)
	return
}

//go:noinline
func (b box[T]) kind(n int) any {
	return b.value
}

func main() {
	b := box[string]{value: "a"}
	println(b.sum(1), b.plus(1), b.kind(1).(string))
}
EOF

describe() { # VERSION METHOD
	go=$(toolchain "$1")/bin/go
	(cd "$tmp" && "$go" tool compile -p main -S -o p.o p.go) | grep -v -e FUNCDATA -e PCDATA -e 'unknown line' |
		sed -n '/TEXT.*main\.box\[go\.shape\.[a-z]*\]\.'"$2"'(SB)/,/JMP	0$/s/^.*p\.go:[0-9]*)	//p' \
			>"$tmp/code"
	sed "s/^/go$1 $2: /" "$tmp/code" >&2
	awk -v go="go$1" -v method="$2" '
		function first_use(register,   i, text) {
			for (i = 0; i < call; i++) {
				text = line[i]
				if (text !~ "[^A-Z]" register "([^A-Z]|$)")
					continue
				if (sub(", " register "$", "", text) && text !~ register)
					return "is written first"
				return "is read first"
			}
			return "is not used"
		}
		{ line[n++] = $0 }
		END {
			for (i = 0; i < n; i++)
				if (line[i] ~ /^CALL\truntime.morestack/)
					call = i
			for (i = call - 1; line[i] ~ /^(MOVQ\t[A-Z]+, [0-9]+\(SP\)|NOP)$/; i--)
				if (split(line[i], word, /[\t ,]+/) == 3)
					saves = " " word[2] saves
			for (i = call + 1; line[i] ~ /^(MOVQ\t[0-9]+\(SP\), [A-Z]+|NOP)$/; i++)
				if (split(line[i], word, /[\t ,]+/) == 3)
					restores = restores " " word[3]
			printf "%s: %s\047s block saves%s, calls morestack, restores%s", go, method, \
				saves ? saves : " nothing", restores ? restores : " nothing"
			if (!saves)
				printf "; AX %s, BX %s", first_use("AX"), first_use("BX")
			print ""
		}' "$tmp/code"
}

for version in 1.21.13 1.27.4; do
	for method in sum plus kind; do
		describe "$version" "$method"
	done
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
