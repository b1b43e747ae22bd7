#!/bin/sh
# Build flags in GOFLAGS, -toolexec among them, reach `go run`, also in `go generate`, but not `go tool NAME`.
#
# One would guess that -toolexec or -tags in GOFLAGS holds for all that the go command builds, and so also for a tool of
# the module's own that a tool line in go.mod names (Go 1.24 and later): `go tool NAME` builds and runs it as `go run`
# does. But GOFLAGS gives a command only those flags that the command itself has, and `go tool` has neither: it builds
# the tool and all its packages without them, and says nothing. The same program differs by the command that starts it,
# in one `go generate` too.
#
# Output (hello tells whether the tag of GOFLAGS was set when it was built; what -toolexec names counts how often it is
# asked to compile hello):
#
#	go1.24.13: go run m/hello: tag set, -toolexec: 1 compilation
#	go1.24.13: go tool hello: tag not set, -toolexec: 0 compilation
#	go1.24.13: go generate: tag set, tag not set, -toolexec: 1 compilation
#	go1.27.4: go run m/hello: tag set, -toolexec: 1 compilation
#	go1.27.4: go tool hello: tag not set, -toolexec: 0 compilation
#	go1.27.4: go generate: tag set, tag not set, -toolexec: 1 compilation
#
# Exits 0 as long as that is so.

. "$(dirname "$0")/lib.sh"

mkdir -p "$tmp/m/hello"
printf 'module m\n\ngo 1.24\n\ntool m/hello\n' >"$tmp/m/go.mod"
printf 'package m\n\n//go:generate go run m/hello\n//go:generate go tool hello\n' >"$tmp/m/m.go"
printf 'package main\n\nfunc main() { println(told) }\n' >"$tmp/m/hello/main.go"
printf '//go:build traced\n\npackage main\n\nconst told = "tag set"\n' >"$tmp/m/hello/with.go"
printf '//go:build !traced\n\npackage main\n\nconst told = "tag not set"\n' >"$tmp/m/hello/without.go"

# What -toolexec names: it notes what it compiles, and passes everything on.
cat >"$tmp/pass" <<EOG
#!/bin/sh
case "\$*" in *-V=full*) ;; */compile\ *) echo "\$TOOLEXEC_IMPORTPATH" >>"$tmp/compiled" ;; esac
exec "\$@"
EOG
chmod +x "$tmp/pass"

describe() { # COMMAND: what hello says, and the compilations of it that are seen; an empty line makes its build new
	echo >>"$tmp/m/hello/main.go"
	: >"$tmp/compiled"
	said=$(cd "$tmp/m" && GOFLAGS="$GOFLAGS -tags=traced -toolexec=$tmp/pass" "$go" $1 2>&1 | paste -sd, | sed 's/,/, /g')
	echo "go$version: go $1: $said, -toolexec: $(grep -c '^m/hello$' "$tmp/compiled") compilation"
}

for version in 1.24.13 1.27.4; do
	go=$(toolchain "$version")/bin/go
	export PATH="${go%/go}:$PATH"
	describe "run m/hello"
	describe "tool hello"
	describe generate
done >"$tmp/seen"
cat "$tmp/seen"
grep '^#	go1\.' "$0" | cut -c3- | diff - "$tmp/seen" || { echo "The behaviour has changed."; exit 1; }
