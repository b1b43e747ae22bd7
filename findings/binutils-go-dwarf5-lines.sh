#!/bin/sh
# binutils 2.40 finds no line of a program that Go 1.25 or later has built, and elfutils 0.188 none of any Go program.
#
# One would guess that addr2line and objdump -l (Debian 12) tell the lines of a Go 1.27 program: they read the DWARF 5
# of gcc, and readelf of the same package decodes the very line table. But neither tells any: addr2line gives the name
# of the symbol and go.go:?, which is no file but what Go's linker puts into the symbol table, and no inlined
# frame. It ends with 0. With GOEXPERIMENT=nodwarf5 the same compiler writes DWARF 4, as Go up to 1.24 does, and all is
# there. (Go's DWARF 5 has ranges that begin with DW_RLE_base_addressx; whether that is the cause was not tried.)
# eu-addr2line tells ??:0 for both. It looks an address up in .debug_aranges, which Go does not write; a C program from
# which that section is removed is told so as well.
#
# Output (of the first instruction of line 4, which is inlined at line 11):
#
#	go1.24.13: addr2line: p.go:4, p.go:11; objdump -l: p.go:4; readelf: line 4; eu-addr2line: ??:0
#	go1.27.4: addr2line: go.go:?; objdump -l: nothing; readelf: line 4; eu-addr2line: ??:0
#	go1.27.4, nodwarf5: addr2line: p.go:4, p.go:11; objdump -l: p.go:4; readelf: line 4; eu-addr2line: ??:0
#
# Exits 0 as long as that is so. The packages of binutils and elfutils are those of Debian 12.

. "$(dirname "$0")/lib.sh"

# binutils and elfutils, unpacked beside what the system has.
(
	cd "$tmp"
	fetch() {
		apt-get -qq -o APT::Sandbox::User=root download binutils-x86-64-linux-gnu=2.40-2 libbinutils=2.40-2 \
			libctf0=2.40-2 libctf-nobfd0=2.40-2 elfutils=0.188-2.1 libdw1=0.188-2.1 libelf1=0.188-2.1 \
			libasm1=0.188-2.1 libdebuginfod1=0.188-2.1
	}
	fetch || { apt-get -qq update && fetch; }
	for package in *.deb; do
		dpkg -x "$package" tools
	done
) >&2
export LD_LIBRARY_PATH="$tmp/tools/usr/lib/x86_64-linux-gnu"
bin=$tmp/tools/usr/bin

cat >"$tmp/p.go" <<'EOG'
package main

func add(p, q int) int {
	return p*7 + q
}

//go:noinline
func outer(n int) int {
	p := n
	for i := 0; i < n; i++ {
		p = add(p, i)
	}
	return p
}

func main() { println(outer(3)) }
EOG

files() { sed -n 's/^\(.*\/\)*\([a-z]*\.go:[0-9?]*\).*/\2/p' | paste -sd, | sed 's/,/, /g'; }

describe() { # WHO: one line about the program
	at=$("$bin/x86_64-linux-gnu-readelf" --debug-dump=decodedline "$tmp/p" 2>/dev/null |
		awk '$1 == "p.go" && $2 == 4 { print $3; exit }')
	[ -n "$at" ] && line="line 4" || line=nothing
	gnu=$("$bin/x86_64-linux-gnu-addr2line" -i -e "$tmp/p" "$at" | files)
	listed=$("$bin/x86_64-linux-gnu-objdump" -dl --start-address="$at" --stop-address="$((at + 1))" "$tmp/p" | files)
	elf=$("$bin/eu-addr2line" -i -e "$tmp/p" "$at" | sed 's/.*\///')
	echo "$1: addr2line: $gnu; objdump -l: ${listed:-nothing}; readelf: $line; eu-addr2line: $elf"
}

for who in go1.24.13 go1.27.4 "go1.27.4, nodwarf5"; do
	version=${who%%,*}
	go=$(toolchain "${version#go}")/bin/go
	case "$who" in *nodwarf5) experiment=nodwarf5 ;; *) experiment= ;; esac
	(cd "$tmp" && CGO_ENABLED=0 GOEXPERIMENT=$experiment "$go" build -o p p.go)
	describe "$who"
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
