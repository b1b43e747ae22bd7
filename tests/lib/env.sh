# Where the tests keep what they fetch and build. Sourced, not run.
# One directory holds everything, so a warm second run is quick and one
# `rm -rf` returns the machine to cold.

EARSHOT_CACHE=${EARSHOT_CACHE:-/var/cache/earshot}
export EARSHOT_CACHE

# The Go minor versions under test. 1.20 is left out to save its minute: its
# tables are those of 1.21. GO_MINORS=1.20 tries it.
GO_MINORS=${GO_MINORS:-"1.19 1.21 1.22 1.23 1.24 1.25 1.26 1.27"}

export GOCACHE=$EARSHOT_CACHE/gocache
export GOMODCACHE=$EARSHOT_CACHE/gomod
export GOTOOLCHAIN=local
export GOFLAGS=-buildvcs=false
unset GOROOT GOOS GOARCH GOENV

# Debian 12 and 13 are supported; the one that this machine is not is tried in a root directory (release.sh).
EARSHOT_OTHER_RELEASE=$(grep -q '^VERSION_CODENAME=trixie' /etc/os-release 2>/dev/null && echo bookworm || echo trixie)

say() { printf '%s\n' "$*" >&2; }

# as_root CMD...: apt needs root; the rest of the tests say so themselves.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# apt_need PACKAGE...: install what is missing, ask apt for nothing else.
apt_need() {
	local missing=() p
	for p in "$@"; do
		dpkg-query -W -f='${Status}' "$p" 2>/dev/null |
			grep -q 'install ok installed' || missing+=("$p")
	done
	[ ${#missing[@]} = 0 ] && return 0
	say "installing: ${missing[*]}"
	local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q
		-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
	as_root "${apt[@]}" install -y --no-install-recommends \
		"${missing[@]}" >/dev/null 2>&1 && return 0
	as_root "${apt[@]}" update >&2 || true
	as_root "${apt[@]}" install -y --no-install-recommends \
		"${missing[@]}" >&2
}
