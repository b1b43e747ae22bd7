#!/bin/sh
# make bench: what Earshot costs, measured here and now (root). See README.md.
#   BENCH_QUICK=1   fewer repetitions: half the time
#   EARSHOT_BEFORE=path   another build of earshot, measured beside this one
#   BENCH_BUILDS="plain earshot"   weave measures the builds of these only
#   sh bench/run.sh patch load   only these of: hit patch chain aggregates request load agent record start questions
#                          trace service weave usdt (BENCH_ONLY="patch load" and make bench patch load do the same)
set -u
here=$(cd "$(dirname "$0")" && pwd)
: "${EARSHOT_CACHE:=/var/cache/earshot}"
: "${EARSHOT:=$here/../build/earshot}"
[ $# = 0 ] || BENCH_ONLY="$*"
export EARSHOT_CACHE EARSHOT ${BENCH_ONLY+BENCH_ONLY}

die() { echo "bench: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "needs root: probes cannot be planted without"
[ -x "$EARSHOT" ] || die "$EARSHOT is not there; run make first"
tools="python3 objdump taskset"
case " ${BENCH_ONLY:-load} " in *" load "* | *" agent "* | *" record "* | *" weave "*) tools="$tools wrk" ;; esac
case " ${BENCH_ONLY:-hit} " in *" hit "* | *" questions "* | *" usdt "*) tools="$tools bpftrace" ;; esac
case " ${BENCH_ONLY:-trace} " in *" trace "*)
	[ -n "${BENCH_QUICK:-}" ] || tools="$tools psql redis-cli" ;;
esac
for tool in $tools; do
	command -v $tool >/dev/null || die "needs $tool (apt-get install $tool)"
done

# The newest toolchain of the tests, else whatever go there is.
go=
for g in "$EARSHOT_CACHE"/toolchains/go1.*; do [ -x "$g/bin/go" ] && go=$g/bin/go; done
[ -n "$go" ] || go=$(command -v go) || die "needs Go; tests/lib/toolchains.sh fetches it"

work=$(mktemp -d) || die "no temporary directory"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
export GOCACHE="${GOCACHE:-$EARSHOT_CACHE/gocache}" GOMODCACHE="${GOMODCACHE:-$EARSHOT_CACHE/gomod}" GOTOOLCHAIN=local GOFLAGS= CGO_ENABLED=0
(cd "$here/hit" && "$go" build -o "$work/hit" main.go) || die "bench/hit does not build"
(cd "$here/asked" && "$go" build -o "$work/asked" main.go) || die "bench/asked does not build"
(cd "$here/edges" && "$go" build -o "$work/edges" main.go) || die "bench/edges does not build"
(cd "$here/web" && "$go" build -o "$work/web" main.go) || die "bench/web does not build"
(cd "$here/server" && "$go" build -ldflags '-s -w' -o "$work/server" main.go memory.go) || die "bench/server does not build"
case " ${BENCH_ONLY:-trace} " in *" trace "* | *" agent "* | *" weave "*)
	(cd "$here/orders" && "$go" build -o "$work/orders" main.go place.go sink.go) || die "bench/orders does not build"
esac
case " ${BENCH_ONLY:-trace} " in *" trace "*)
	trio=$here/../tests/go/trio
	(cd "$trio" && "$go" build -buildvcs=false -ldflags '-s -w' -o "$work/trio" .) || die "tests/go/trio does not build"
	(cd "$trio" && "$go" build -buildvcs=false -ldflags '-s -w' -tags sdk -modfile=sdk.mod -o "$work/trio-sdk" .) ||
		die "tests/go/trio does not build with the SDK"
esac

BENCH_WORK=$work BENCH_GO_COMMAND=$go BENCH_GO=$("$go" version | cut -d' ' -f3) python3 -B "$here/report.py"
