#!/bin/sh
# Prints a C file that holds the recorder's sources as texts (see src/weave/recorder.h).
set -eu
dir=$1
text() { # NAME FILE
	echo "const char $1[] = {"
	od -An -v -tu1 "$2" | sed 's/[0-9][0-9]*/&,/g'
	echo '0};'
}
echo '#include "weave/recorder.h"'
text recorder_go "$dir/recorder.go"
text recorder_marks_go "$dir/marks.go"
text recorder_asked_go "$dir/asked.go"
text recorder_sent_go "$dir/sent.go"
text recorder_noop_go "$dir/noop.go"
text recorder_amd64_s "$dir/asm_amd64.s"
text recorder_arm64_s "$dir/asm_arm64.s"
