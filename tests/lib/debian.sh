# Packages of any Debian release, unpacked but not installed. Sourced behind env.sh, not run.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
base=$EARSHOT_CACHE/third-party

# A private apt: own sources, own lists, the machine's configuration untouched.
private_apt() { # RELEASE ARG...
	local state=$base/apt-$1; shift
	apt-get -q -o Dir::Etc::SourceList="$state/sources.list" -o Dir::Etc::SourceParts=- \
		-o Dir::State="$state/state" -o Dir::State::Status="$state/status" \
		-o Dir::Cache="$state/cache" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Architecture=amd64 "$@"
}

prepare() { # RELEASE
	local state=$base/apt-$1
	mkdir -p "$state/state/lists/partial" "$state/cache/archives/partial" "$base/$1"
	: >"$state/status"
	echo "deb [signed-by=$keyring] http://deb.debian.org/debian $1 main" >"$state/sources.list"
	timeout --foreground 300 env bash -c "$(declare -f private_apt); base='$base'; private_apt $1 update" >&2
}

# fetch_deb RELEASE PACKAGE DIRECTORY: the package's file, the only .deb there.
fetch_deb() {
	(cd "$3" && private_apt "$1" download "$2") >&2
}
