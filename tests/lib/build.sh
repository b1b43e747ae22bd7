#!/bin/bash
# Build the Go programs the tests observe, with every toolchain there is.
#
#   tests/lib/build.sh [MINOR...]    all but the large ones
#   tests/lib/build.sh modules       the large ones, which only end-to-end tests run: otelcol, caddyd, trio …
#
# Outputs, in $EARSHOT_CACHE/bin:
#   httpd-go1.XX-{plain,sw,trim,pie,cgo}   the server under observation
#   oneshot-go1.XX-sw                      three requests to itself, exit 7
#   edges-go1.XX-sw                        a server that copies requests, upgrades, breaks limits
#   shapes-go1.XX-{plain,sw}               calls of every kind, to be read, not run
#   corners-go1.XX-{plain,cgo}             calls with values at the edges of what can be shown
#   calls-go1.XX-{plain,sw}                tells what it called
#   typed-go1.XX-{plain,sw}                calls with types that only a dictionary or a declaration tells
#   client, shop, shop-plain               built once, by the newest toolchain
#   lastwords                              dies while it answers itself; built once, by the newest toolchain
#   burst, halves                          likewise: many calls at once; what can be patched at one end only
#   tally-go1.XX-plain                     calls at full speed, and says how often
#   conditions-go1.XX-{plain,w,sw}         knows which conditions hold for which of its calls; w: no DWARF
#   values-go1.XX-{sw,pie-sw}              values of every kind, for tests/unit/value_test.c
#   holes-go1.XX-plain                     values of which a part cannot be read, and panics
#   seq-go1.XX-{plain,sw,pie,cgo,race}     calls functions with consecutive numbers
#   seq-go1.XX-plugin{,.so}                likewise from a plugin, built once, by the newest toolchain
#   grpcd-go1.XX-{plain,sw}                a gRPC service and its client
#   dotted-{plain,sw}                      a package whose path has a dot at its end
#   golib.so                               a library for other languages
#   gotrace-go1.XX                         writes an execution trace of work of every kind; 1.22 to the newest
#   renew-{sw,v2,pie}                      a server that is upgraded; built once, by the newest toolchain
#   inlined-go1.XX-{plain,sw,pie,l,pgo}    calls that the compiler inlines (l: it inlines none; pgo: with a profile)
#   contexts-go1.XX-{plain,sw}             contexts of every kind; built by the oldest and the newest toolchain
#   fanout-go1.XX                          hands work on in every way, with numbered requests; 1.21 and the newest
#   handover-go1.XX                        hands its requests to other goroutines; 1.22 and the newest
#   plainmux-go1.XX{,-copies,-generic}     a ServeMux that is asked directly; with a copy of a request; the newest
#   jobs                                   does the jobs that it is given; a library as a module of its own
#   funclist                               the functions of Go source, by go/parser
#   alien-{arm64,386}                      programs for other machines
#   otelcol                                an OpenTelemetry Collector
#   caddyd                                 Caddy, with DWARF
#   routers-go1.XX-{plain,sw}              every router, each on a port of its own
#   trio-go1.XX-{plain,sw}                 three services that handle one order together
#   trio-go1.XX-sdk                        likewise, with an OpenTelemetry SDK; built by the newest toolchain
#   manual-go1.XX-{plain,sw}               makes spans with OpenTelemetry's API, without an SDK
#   sender-go1.XX-{plain,sw}               sends many requests at once, to servers that read every byte
#   relay-go1.XX-sw, -plain                 asks another one whatever it is asked
#   mq-go1.XX-{plain,sw}                   sends and handles messages of NATS and Kafka; the newest has brokers, too
#   mailer-go1.27-sw, mailer-go1.21-plain  sends many messages at once, to servers that read every byte
#   webclient-go1.XX-{plain,sw}            sends HTTP requests of every kind, and answers them
#   recorded-go1.XX{,-noop}                woven by hand, with the recorder in its runtime; oldest to newest
# Nothing is rebuilt unless its sources or toolchain changed. What cannot be
# built is printed as "skip NAME: reason".

set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/env.sh"
src=$(cd "$here/../go" && pwd)
bin=$EARSHOT_CACHE/bin
mod=$EARSHOT_CACHE/modfiles
logs=$EARSHOT_CACHE/logs
mkdir -p "$bin" "$mod" "$logs"

# The go line of go.mod picks net/http's defaults, so each toolchain gets a
# go.mod with its own version.
modfile() { # MINOR
	sed "s/^go 1\.[0-9]*$/go $1/" "$src/go.mod" >"$mod/go$1.mod.new"
	cmp -s "$mod/go$1.mod.new" "$mod/go$1.mod" || cp "$mod/go$1.mod.new" "$mod/go$1.mod"
	cmp -s "$src/go.sum" "$mod/go$1.sum" || cp "$src/go.sum" "$mod/go$1.sum"
	rm -f "$mod/go$1.mod.new"
	echo "$mod/go$1.mod"
}

# stamp PACKAGE MINOR FLAG...: what an output was made of. By content and not by
# time, so that another clone with the same sources rebuilds nothing.
stamp() {
	local package=$1 minor=$2; shift 2
	readlink -f "$EARSHOT_CACHE/toolchains/go$minor"
	echo "$@"
	(cd "$src" && find "$package" go.mod go.sum -type f | LC_ALL=C sort | xargs sha256sum)
}

# fresh OUTPUT STAMP
fresh() {
	[ -s "$1" ] && [ "$2" = "$(cat "$1.by" 2>/dev/null)" ]
}

# build MINOR PACKAGE OUTPUT [ENV=VALUE...] -- FLAG...
build() {
	local minor=$1 package=$2 out=$bin/$3 settings=() go made_of
	shift 3
	while [ "$1" != -- ]; do settings+=("$1"); shift; done
	shift
	made_of=$(stamp "$package" "$minor" "${settings[@]}" "$@")
	fresh "$out" "$made_of" && return 0
	go=$EARSHOT_CACHE/toolchains/go$minor/bin/go
	if (cd "$src" && timeout --foreground 900 env CGO_ENABLED=0 "${settings[@]}" "$go" build -p 2 \
		-modfile="$(modfile "$minor")" -o "$out.new" "$@" "./$package") \
		>"$logs/${out##*/}.log" 2>&1; then
		mv "$out.new" "$out"
		echo "$made_of" >"$out.by"
	else
		echo "skip ${out##*/}: go build failed: $(tail -1 "$logs/${out##*/}.log")"
	fi
}

# build_module MINOR DIRECTORY OUTPUT FLAG...: a program that is a Go module of its own.
build_module() {
	local minor=$1 package=$2 out=$bin/$3 go=$EARSHOT_CACHE/toolchains/go$1/bin/go made_of
	shift 3
	[ -x "$go" ] || { echo "skip ${out##*/}: no toolchain"; return; }
	made_of=$(stamp "$package" "$minor" "$@")
	fresh "$out" "$made_of" && return 0
	if (cd "$src/$package" && CGO_ENABLED=0 timeout --foreground 900 "$go" build -p 2 "$@" -o "$out.new" .) \
		>"$logs/${out##*/}.log" 2>&1; then
		mv "$out.new" "$out"
		echo "$made_of" >"$out.by"
	else
		echo "skip ${out##*/}: go build failed: $(tail -1 "$logs/${out##*/}.log")"
	fi
}

# A module for two sides of the matrix: go.mod with the newest libraries for the newest Go, go1.21.mod with older ones.
build_libraries() { # DIRECTORY
	build_module "$newest" "$1" "$1-go$newest-plain"
	build_module "$newest" "$1" "$1-go$newest-sw" -ldflags '-s -w'
	build_module 1.21 "$1" "$1-go1.21-plain" -modfile=go1.21.mod
	build_module 1.21 "$1" "$1-go1.21-sw" -modfile=go1.21.mod -ldflags '-s -w'
}

# plain and -s -w share every compiled package, so they come first and
# together; -trimpath, PIE and cgo each compile the standard library anew.
build_httpd() { # MINOR
	local name=httpd-go$1
	build "$1" httpd "$name-plain" --
	build "$1" httpd "$name-sw" -- -ldflags '-s -w'
	build "$1" oneshot "oneshot-go$1-sw" -- -ldflags '-s -w'
	build "$1" edges "edges-go$1-sw" -- -ldflags '-s -w'
	build "$1" shapes "shapes-go$1-plain" --
	build "$1" shapes "shapes-go$1-sw" -- -ldflags '-s -w'
	build "$1" corners "corners-go$1-plain" --
	build "$1" corners "corners-go$1-cgo" CGO_ENABLED=1 -- -tags withcgo
	build "$1" calls "calls-go$1-plain" --
	build "$1" calls "calls-go$1-sw" -- -ldflags '-s -w'
	build "$1" typed "typed-go$1-plain" --
	build "$1" typed "typed-go$1-sw" -- -ldflags '-s -w'
	build "$1" values "values-go$1-sw" -- -ldflags '-s -w'
	build "$1" holes "holes-go$1-plain" --
	case $1 in 1.19|1.21) ;; *) build "$1" gotrace "gotrace-go$1" -- ;; esac
	case $1 in 1.22|"$newest") build "$1" handover "handover-go$1" -- -ldflags '-s -w' ;; esac
	if [ "$1" = "$newest" ]; then
		build "$1" plainmux "plainmux-go$1" -- -ldflags '-s -w'
		build "$1" plainmux "plainmux-go$1-copies" -- -tags copies -ldflags '-s -w'
		build "$1" plainmux "plainmux-go$1-generic" -- -tags generic -ldflags '-s -w'
	fi
	case $1 in 1.21|"$newest") build "$1" fanout "fanout-go$1" -- -ldflags '-s -w' ;; esac
	build "$1" tally "tally-go$1-plain" --
	build "$1" conditions "conditions-go$1-plain" --
	build "$1" conditions "conditions-go$1-w" -- -ldflags '-w'
	build "$1" conditions "conditions-go$1-sw" -- -ldflags '-s -w'
	build "$1" seq "seq-go$1-plain" --
	build "$1" seq "seq-go$1-sw" -- -ldflags '-s -w'
	build "$1" inlined "inlined-go$1-plain" --
	build "$1" inlined "inlined-go$1-sw" -- -ldflags '-s -w'
	build "$1" inlined "inlined-go$1-l" -- -gcflags=-l
	case $1 in 1.19|1.2[0-2]) ;; *) # a profile as text
		build "$1" inlined "inlined-go$1-pgo" -- -pgo=off -gcflags=-pgoprofile=inlined/profile.txt ;;
	esac
	build "$1" httpd "$name-trim" -- -trimpath -ldflags '-s -w'
	build "$1" seq "seq-go$1-pie" -- -buildmode=pie -ldflags '-s -w'
	build "$1" httpd "$name-pie" -- -buildmode=pie -ldflags '-s -w'
	build "$1" inlined "inlined-go$1-pie" -- -buildmode=pie -ldflags '-s -w'
	build "$1" values "values-go$1-pie-sw" -- -ldflags '-s -w' -buildmode=pie
	build "$1" seq "seq-go$1-cgo" CGO_ENABLED=1 -- -tags withcgo -ldflags '-s -w'
	build "$1" seq "seq-go$1-race" CGO_ENABLED=1 -- -race -ldflags '-s -w'
	build "$1" httpd "$name-cgo" CGO_ENABLED=1 -- -tags withcgo -ldflags '-s -w -linkmode external'
}

# The recorder in package runtime, by an overlay. It may not replace what lies in the module cache, and the toolchains do:
# so the cache is another one, of which nothing is needed.
build_recorded() { # MINOR OUTPUT recorder|noop FLAG...
	local minor=$1 out=$bin/$2 kind=$3 with=$here/../../src/weave/recorder go=$EARSHOT_CACHE/toolchains/go$1/bin/go
	local there=$mod/recorded-$2 root made_of
	shift 3
	[ -x "$go" ] || { echo "skip ${out##*/}: no toolchain"; return; }
	with=$(readlink -f "$with")
	made_of=$(stamp recorded "$minor" "$@"; sha256sum <"$with/$kind.go"; cat "$with/marks.go" "$with/sent.go" | sha256sum; sha256sum <"$with/asm_amd64.s"; cat "$here/overlay.sh")
	fresh "$out" "$made_of" && return 0
	root=$(readlink -f "$EARSHOT_CACHE/toolchains/go$minor")
	sh "$here/overlay.sh" "$root" "$with" "$kind" "$there"
	if (cd "$src/recorded" && GOMODCACHE=$there/mod CGO_ENABLED=${CGO_ENABLED:-0} timeout --foreground 900 "$go" build -p 2 \
		-overlay "$there/overlay.json" "$@" -o "$out.new" .) >"$logs/${out##*/}.log" 2>&1; then
		mv "$out.new" "$out"
		echo "$made_of" >"$out.by"
	else
		echo "skip ${out##*/}: go build failed: $(tail -1 "$logs/${out##*/}.log")"
	fi
}

newest=
for minor in $GO_MINORS; do
	[ -x "$EARSHOT_CACHE/toolchains/go$minor/bin/go" ] && newest=$minor
done
[ -n "$newest" ] || { echo "skip all Go programs: no toolchain"; exit 0; }

if [ "${1:-}" = modules ]; then
	build_module "$newest" otelcol otelcol -ldflags '-s -w'
	build_module "$newest" caddyd caddyd
	build_libraries trio
	build_module "$newest" trio "trio-go$newest-sdk" -modfile=sdk.mod -tags sdk -ldflags '-s -w'
	build_libraries sender
	build_module "$newest" relay "relay-go$newest-sw" -ldflags '-s -w'
	build_module 1.21 relay relay-go1.21-plain -modfile=go1.21.mod
	build_libraries webclient
	build_libraries grpcd
	build_libraries routers
	build_libraries dbs
	build_libraries mq
	build_module "$newest" mailer "mailer-go$newest-sw" -ldflags '-s -w'
	build_module 1.21 mailer mailer-go1.21-plain -modfile=go1.21.mod
	build_libraries manual
	exit
fi

command -v gcc >/dev/null || apt_need build-essential || true
for package in client shop; do
	build "$newest" "$package" "$package" -- -ldflags '-s -w'
done
build "$newest" shop shop-plain --
build "$newest" dotted dotted-plain --
build "$newest" dotted dotted-sw -- -ldflags '-s -w'
build "$newest" golib golib.so CGO_ENABLED=1 -- -buildmode=c-shared
build_module "$newest" jobs jobs -ldflags '-s -w'
build_module "$newest" dbs "dbs-go$newest-sw" -ldflags '-s -w' # unit tests look at these two
build_module "$newest" trio "trio-go$newest-plain"
build "$newest" burst burst --
build "$newest" funclist funclist --
build "$newest" halves halves --
build "$newest" lastwords lastwords -- -ldflags '-s -w'
build "$newest" seq "seq-go$newest-plugin" CGO_ENABLED=1 -- -tags withplugin -ldflags '-s -w'
build "$newest" seqplugin "seq-go$newest-plugin.so" CGO_ENABLED=1 -- -buildmode=plugin -ldflags '-s -w'
for minor in ${@:-$GO_MINORS}; do
	if [ ! -x "$EARSHOT_CACHE/toolchains/go$minor/bin/go" ]; then
		echo "skip httpd-go$minor: no toolchain"
		continue
	fi
	started=$SECONDS
	build_httpd "$minor"
	say "go$minor: built in $((SECONDS - started)) s"
done
for minor in 1.21 "$newest"; do
	build "$minor" contexts "contexts-go$minor-plain" --
	build "$minor" contexts "contexts-go$minor-sw" -- -ldflags '-s -w'
done
for minor in 1.19 1.21 1.24 "$newest"; do
	build_recorded "$minor" "recorded-go$minor" recorder
done
build_recorded "$newest" "recorded-go$newest-sw" recorder -ldflags '-s -w'
build_recorded "$newest" "recorded-go$newest-noop" noop
build "$newest" renew renew-sw -- -ldflags '-s -w'
build "$newest" renew renew-v2 -- -tags v2 -ldflags '-s -w'
build "$newest" renew renew-pie -- -buildmode=pie -ldflags '-s -w'
build "$newest" alien alien-arm64 GOARCH=arm64 -- -ldflags '-s -w'
build "$newest" alien alien-386 GOARCH=386 -- -ldflags '-s -w'
