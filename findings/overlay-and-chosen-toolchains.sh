#!/bin/sh
# A file of the standard library can be replaced by -overlay with an installed Go, but not with the same Go that the go
# command has chosen itself.
#
# One would guess that `go build -overlay` replaces any file that a build reads, and so those of GOROOT, as tools that
# instrument packages of the standard library do. Where a `toolchain` or `go` line (or GOTOOLCHAIN) asks for another Go
# version, the go command fetches it as a module and runs it from the module cache: GOROOT lies beneath GOMODCACHE. And
# beneath GOMODCACHE an overlay may replace nothing from Go 1.25 on. So the same overlay of the same version works or not by
# how that version came to the machine. What helps is another GOMODCACHE for the inner go command.
#
# Output (a replaced unicode/utf8 says that a rune has 42 bytes):
#
#	go1.24.13 installed: 42
#	go1.24.13 chosen by GOTOOLCHAIN: 42
#	go1.25.14 installed: 42
#	go1.25.14 chosen by GOTOOLCHAIN: refused: Files beneath GOMODCACHE must not be replaced.
#	go1.27.4 installed: 42
#	go1.27.4 chosen by GOTOOLCHAIN: refused: Files beneath GOMODCACHE must not be replaced.
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

mkdir -p "$tmp/m" "$tmp/utf8"
printf 'module m\n\ngo 1.22\n' >"$tmp/m/go.mod"
printf 'package main\n\nimport "unicode/utf8"\n\nvar r = rune(97)\n\nfunc main() { println(utf8.RuneLen(r)) }\n' \
	>"$tmp/m/main.go"

# run GO ROOT: what the program says, built by GO with a replaced file of ROOT, or why it is not
run() {
	sed '/^func RuneLen(/,/^}/ s/return 1/return 42/' "$2/src/unicode/utf8/utf8.go" >"$tmp/utf8/utf8.go"
	printf '{"Replace": {"%s": "%s"}}' "$2/src/unicode/utf8/utf8.go" "$tmp/utf8/utf8.go" >"$tmp/overlay.json"
	(cd "$tmp/m" && "$1" run -overlay "$tmp/overlay.json" . 2>&1) |
		sed 's/^go: overlay contains .* Files beneath GOMODCACHE ([^)]*)/refused: Files beneath GOMODCACHE/'
}

starter=$(toolchain 1.23.12)/bin/go # any that can choose
for version in 1.24.13 1.25.14 1.27.4; do
	(cd "$tmp" && GOTOOLCHAIN=go$version "$starter" version) >/dev/null
	chosen=$tmp/mod/golang.org/toolchain@v0.0.1-go$version.linux-amd64
	cp -r "$chosen" "$tmp/installed"
	echo "go$version installed: $(run "$tmp/installed/bin/go" "$tmp/installed")"
	export GOTOOLCHAIN="go$version"
	echo "go$version chosen by GOTOOLCHAIN: $(run "$starter" "$chosen")"
	export GOTOOLCHAIN=local
	rm -rf "$tmp/installed"
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
