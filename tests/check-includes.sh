#!/bin/sh
# What can be checked of the code without running it: the include rule, no verb that knows one planter, no calls that run up,
# 120 columns, unique tags, no library and no Go version in generic code, options in manual pages.
#
# The include rule of ARCHITECTURE.md: a folder of src/ includes only itself and the folders listed for it.
cd "$(dirname "$0")/.." || exit 2
rc=0
rules=
check() {
	dir=$1
	allowed=" $1 $2 "
	rules="$rules$dir$allowed|"
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
check usdt "base binary"
check probe "base event binary usdt"
check target "base event binary usdt probe"
check plant "base event binary usdt probe target"
check span "base event binary probe target plant"
check call "base event binary probe target plant"
check sink "base event probe target span call"
check gotrace "base event probe target span"
check record "base event probe target span"
check weave "base event binary probe"
check cmd "base event binary usdt probe target plant span call sink weave gotrace record"
# A verb knows planters by their table (plant/planters.h), and none by its own header.
if grep -rnE '^#include "plant/[a-z_]+/' src/cmd src/main.c; then
	echo "a verb includes a header of one planter (ARCHITECTURE.md)"
	rc=1
fi
# Inside probe/, likewise: what is asked, what it means (without a binary), where that lies, what is planted.
check_probe() {
	for f in $(find src/probe/"$1" -name '*.[ch]'); do
		for inc in $(sed -n 's/^#include "probe\/\([a-z_]*\)\/.*/\1/p' "$f" | sort -u); do
			case " $1 $2 " in
			*" $inc "*) ;;
			*)
				echo "$f includes probe/$inc/, which probe/$1/ may not (ARCHITECTURE.md)"
				rc=1
				;;
			esac
		done
	done
}
check_probe lang ""
check_probe bind "lang"
check_probe lower "lang bind"
check_probe pack "lang bind lower"
check_probe plan "lang bind lower pack"
if grep -nE '#include "(binary/(binary|image|arch|internal)|probe/(ir|shape))' src/probe/bind/*.[ch]; then
	echo "bind/ knows names and types, but no binary, no registers and no instructions (ARCHITECTURE.md)"
	rc=1
fi
# A call can run up where no include does: through a declaration of the folder's own for a function that a folder above it
# defines. So the objects are held to the same rule, where they are built: main.o is above all, what is generated is nobody's.
for f in $(find src -name '*.c'); do
	o=${BUILD:-build}/${f%.c}.o
	[ -e "$o" ] && echo "$o"
done | xargs -r nm -A -g -P | awk -v rules="$rules" -v prefix="${BUILD:-build}/src/" '
	BEGIN {
		for (n = split(rules, rule, "|"); n > 0; n--)
			for (k = split(rule[n], word, " "); k > 0; k--)
				may[word[1], word[k]] = 1
	}
	{
		object = substr($1, length(prefix) + 1)
		sub(/:$/, "", object)
		folder = object
		sub(/[\/.].*/, "", folder)
		if ($3 == "U")
			needs[object " " $2] = folder
		else
			definer[$2] = folder
	}
	END {
		for (need in needs) {
			split(need, part, " ")
			to = definer[part[2]]
			if (to == "" || needs[need] == "main" || (needs[need], to) in may)
				continue
			source = part[1]
			sub(/o$/, "c", source)
			print "src/" source " needs " part[2] " of " to "/, which " needs[need] "/ may not (ARCHITECTURE.md)"
			bad = 1
		}
		exit bad
	}' || rc=1
# No line is longer than 120 columns: a tab goes to the next multiple of 8, a character of UTF-8 is one column. .clang-format
# has the same number.
grep -q '^ColumnLimit: 120$' .clang-format || { echo ".clang-format has another limit than 120 columns"; rc=1; }
for f in $(find src tests/unit tests/fuzz -name '*.[ch]'); do
	if expand -t 8 "$f" | LC_ALL=C.UTF-8 grep -nE '^.{121}' | sed "s|^\([0-9]*\):.*|$f:\1: longer than 120 columns|" | grep .; then
		rc=1
	fi
done
# A tag (struct, union or enum with a body) stands for one thing in all headers, so that a search for it finds one definition.
for tag in $(find src -name '*.h' -exec sed -nE 's/^[[:space:]]*(typedef )?(struct|union|enum) ([A-Za-z_0-9]+) \{.*/\3/p' {} + | sort | uniq -d); do
	echo "the tag $tag is defined more than once:"
	grep -rnE --include='*.h' "^[[:space:]]*(typedef )?(struct|union|enum) $tag \{" src
	rc=1
done
# Nothing of one library or protocol may sit in the generic machinery: that is what packs are for.
if grep -rniE 'net/http|"(http|url|db|rpc|messaging|client|server)\.|ServeHTTP' src/event src/span src/plant src/sink; then
	echo "library-specific text above belongs into a pack"
	rc=1
fi
# Versions and offsets are read from the binary, never tabulated.
if grep -rnE 'go1\.[0-9]+\b' src --include='*.c' --include='*.h' | grep -vE '^\S+:[0-9]+:\s*(/?\*|//)|"go1\.[0-9.]+";? never|/\*.*go1' ; then
	echo "a Go version in code: is this a version table?"
	rc=1
fi
# Every option of a verb is in its manual page. (make lint has built the program, and the tool below.)
build=${BUILD:-build}
for m in docs/man/earshot-*.1; do
	v=$(basename "$m" .1 | sed 's/earshot-//')
	help=$("$build/earshot" "$v" --help) || { echo "earshot $v --help fails"; rc=1; }
	for o in $(echo "$help" | sed -n 's/^ .*--\([a-z-]*\).*/\1/p'); do
		grep -q -- "$(echo "\\-\\-$o" | sed 's/-/\\\\-/g')\|--$o" "$m" || { echo "$m lacks --$o"; rc=1; }
	done
done
# Those of sinks are the sinks' own text.
"$build/tools/manual-outputs" --check docs/man/*.1 || rc=1
exit $rc
