#!/bin/sh
# elfutils' dwarf_getlocation takes no location of a Go package variable, in no version of Go: its form is a block.
#
# One would guess that dwarf_getlocation gives the address of a package variable from its DW_AT_location, as it does
# for a C variable. Go 1.24.13 (DWARF 4) and 1.27.4 (DWARF 5), and all others that were tried from 1.19 on, write the
# expression with the form DW_FORM_block1. From DWARF 4 on an expression has the form DW_FORM_exprloc, and elfutils
# 0.188 (Debian 12) takes no block for one in a unit of such a version: dwarf_getlocation fails. In a unit of DWARF 3
# it takes the same form. The bytes are there all the same: dwarf_formblock gives DW_OP_addr and the address.
#
# Output:
#
#	C, DWARF 3: form DW_FORM_block1; dwarf_getlocation: right; dwarf_formblock: right
#	C, DWARF 5: form DW_FORM_exprloc; dwarf_getlocation: right; dwarf_formblock: right
#	go1.24.13, DWARF 4: form DW_FORM_block1; dwarf_getlocation: not a location list value; dwarf_formblock: right
#	go1.27.4, DWARF 5: form DW_FORM_block1; dwarf_getlocation: not a location list value; dwarf_formblock: right
#
# Exits 0 as long as that is so. The elfutils packages are those of Debian 12.

. "$(dirname "$0")/lib.sh"

# elfutils, unpacked beside what the system has.
if ! command -v gcc >/dev/null || ! command -v nm >/dev/null; then
	apt-get -qq update && apt-get -qq install -y gcc libc6-dev
fi >&2
(
	cd "$tmp"
	fetch() {
		apt-get -qq -o APT::Sandbox::User=root download \
			libdw-dev=0.188-2.1 libdw1=0.188-2.1 libelf-dev=0.188-2.1 libelf1=0.188-2.1
	}
	fetch || { apt-get -qq update && fetch; }
	for package in *.deb; do
		dpkg -x "$package" elfutils
	done
) >&2
lib=$tmp/elfutils/usr/lib/x86_64-linux-gnu

cat >"$tmp/where.c" <<'EOF'
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tell(const char *who, Dwarf_Half version, Dwarf_Die *variable, uint64_t address)
{
	Dwarf_Attribute a;
	Dwarf_Block block;
	Dwarf_Op *ops;
	size_t n;
	uint64_t in_block = 0;

	if (!dwarf_attr(variable, DW_AT_location, &a))
		exit(1);
	printf("%s, DWARF %d: form %s; dwarf_getlocation: ", who, version,
	       a.form == DW_FORM_exprloc  ? "DW_FORM_exprloc"
	       : a.form == DW_FORM_block1 ? "DW_FORM_block1"
					  : "another");
	if (dwarf_getlocation(&a, &ops, &n))
		printf("%s", dwarf_errmsg(-1));
	else
		printf("%s", n == 1 && ops->atom == DW_OP_addr && ops->number == address ? "right" : "wrong");
	if (!dwarf_formblock(&a, &block) && block.length == 1 + sizeof(in_block) && *block.data == DW_OP_addr)
		memcpy(&in_block, block.data + 1, sizeof(in_block));
	printf("; dwarf_formblock: %s\n", in_block == address ? "right" : "wrong");
}

/* where WHO FILE NAME ADDRESS: what libdw says of the variable NAME, which the symbol table has at ADDRESS. */
int main(int argc, char **argv)
{
	Dwarf *d = argc == 5 ? dwarf_begin(open(argv[2], O_RDONLY), DWARF_C_READ) : NULL;
	Dwarf_Off off = 0, next;
	Dwarf_Half version;
	size_t header;

	for (; d && !dwarf_next_unit(d, off, &next, &header, &version, NULL, NULL, NULL, NULL, NULL); off = next) {
		Dwarf_Die unit, die;

		if (!dwarf_offdie(d, off + header, &unit) || dwarf_child(&unit, &die))
			continue;
		do {
			const char *name = dwarf_diename(&die);

			if (dwarf_tag(&die) == DW_TAG_variable && name && !strcmp(name, argv[3])) {
				tell(argv[1], version, &die, strtoull(argv[4], NULL, 16));
				return 0;
			}
		} while (!dwarf_siblingof(&die, &die));
	}
	return 1;
}
EOF
gcc -o "$tmp/where" -I"$tmp/elfutils/usr/include" "$tmp/where.c" -L"$lib" -Wl,-rpath,"$lib" -Wl,-rpath-link,"$lib" -ldw

where() { # WHO FILE NAME
	"$tmp/where" "$1" "$2" "$3" "$(nm "$2" | sed -n "s/^\([0-9a-f]*\) [A-Za-z] $3\$/\1/p")"
}

cat >"$tmp/c.c" <<'EOF'
int counter = 7;

int main(void) { return counter; }
EOF
cat >"$tmp/main.go" <<'EOF'
package main

var counter = 7

func main() {
	counter++
	println(counter)
}
EOF

{
	for dwarf in 3 5; do
		gcc -no-pie -gdwarf-$dwarf -gstrict-dwarf -o "$tmp/c" "$tmp/c.c"
		where C "$tmp/c" counter
	done
	for version in 1.24.13 1.27.4; do
		go=$(toolchain "$version")/bin/go
		(cd "$tmp" && CGO_ENABLED=0 "$go" build -o go main.go)
		where "go$version" "$tmp/go" main.counter
	done
} >"$tmp/seen"
cat "$tmp/seen"
sed -n 's/^#	\(.*DWARF.*form\)/\1/p' "$0" | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
