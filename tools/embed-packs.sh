#!/bin/sh
# Prints a C file that holds the given pack files as arrays of bytes (see src/probe/pack/pack.h).
set -eu
echo '#include "probe/pack/pack.h"'
i=0
for f in "$@"; do
	echo "static const unsigned char pack_$i[] = {"
	od -An -v -tu1 "$f" | sed 's/[0-9][0-9]*/&,/g'
	echo "};"
	i=$((i + 1))
done
echo 'const struct pack_source pack_builtin[] = {'
i=0
for f in "$@"; do
	echo "	{ \"$f\", (const char *)pack_$i, sizeof(pack_$i) },"
	i=$((i + 1))
done
echo '	{ 0 },'
echo '};'
