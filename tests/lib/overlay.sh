#!/bin/sh
# overlay.sh GOROOT RECORDER recorder|noop DIRECTORY: makes DIRECTORY/overlay.json, with which `go build -overlay` puts the
# recorder into package runtime as the weaver does: a file more, assembly behind the runtime's own, a call in runtime.main.
set -eu
root=$1 recorder=$2 kind=$3 dir=$4
mkdir -p "$dir"
sed 's/^func main() {$/func main() { earshotInit()/' "$root/src/runtime/proc.go" >"$dir/proc.go"
grep -q '^func main() { earshotInit()$' "$dir/proc.go"
{
	printf '{"Replace":{"%s":"%s"' "$root/src/runtime/proc.go" "$dir/proc.go"
	printf ',"%s":"%s"' "$root/src/runtime/zz_earshot.go" "$recorder/$kind.go"
	[ "$kind" = noop ] || printf ',"%s":"%s"' "$root/src/runtime/zz_earshot_marks.go" "$recorder/marks.go"
	[ "$kind" = noop ] || printf ',"%s":"%s"' "$root/src/runtime/zz_earshot_sent.go" "$recorder/sent.go"
	[ "$kind" = noop ] || for arch in amd64 arm64; do
		cat "$root/src/runtime/asm_$arch.s" "$recorder/asm_$arch.s" >"$dir/asm_$arch.s"
		printf ',"%s":"%s"' "$root/src/runtime/asm_$arch.s" "$dir/asm_$arch.s"
	done
	echo '}}'
} >"$dir/overlay.json"
