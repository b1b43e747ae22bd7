#!/bin/sh
# The include rule of ARCHITECTURE.md: a folder of src/ includes only itself and the folders listed for it.
cd "$(dirname "$0")/.." || exit 2
rc=0
check() {
	dir=$1
	allowed=" $1 $2 "
	for f in $(find src/"$dir" -name '*.[ch]'); do
		for inc in $(sed -n 's/^#include "\([a-z_]*\)\/.*/\1/p' "$f" | sort -u); do
			case "$allowed" in
			*" $inc "*) ;;
			*)
				echo "$f includes $inc/, which $dir/ may not (ARCHITECTURE.md)"
				rc=1
				;;
			esac
		done
	done
}
check base ""
check event "base"
check binary "base"
check probe "base event binary"
check target "base event binary probe"
check plant "base event binary probe target"
check span "base event binary probe target plant"
check call "base event binary probe target plant"
check sink "base event binary probe plant span call"
check cmd "base event binary probe target plant span call sink"
# Nothing of one library or protocol may sit in the generic machinery: that is what packs are for.
if grep -rniE 'net/http|"http\.|ServeHTTP' src/event src/span src/plant; then
	echo "library-specific text above belongs into a pack"
	rc=1
fi
# Versions and offsets are read from the binary, never tabulated.
if grep -rnE 'go1\.[0-9]+\b' src --include='*.c' --include='*.h' | grep -vE '^\S+:[0-9]+:\s*(/?\*|//)|"go1\.[0-9.]+";? never|/\*.*go1' ; then
	echo "a Go version in code: is this a version table?"
	rc=1
fi
# Every option of a verb is in its manual page.
if [ -x "${BUILD:-build}/earshot" ]; then
	for m in docs/man/earshot-*.1; do
		v=$(basename "$m" .1 | sed 's/earshot-//')
		for o in $("${BUILD:-build}/earshot" "$v" --help | sed -n 's/^ .*--\([a-z-]*\).*/\1/p'); do
			grep -q -- "$(echo "\\-\\-$o" | sed 's/-/\\\\-/g')\|--$o" "$m" || { echo "$m lacks --$o"; rc=1; }
		done
	done
fi
exit $rc
