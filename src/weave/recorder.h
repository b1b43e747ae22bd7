/*
 * What is put into the Go runtime of woven programs: the recorder (recorder/), as text. plant/woven/area.h tells what
 * it shares with the reader, and the beginning of recorder.go how woven code uses it.
 */
#ifndef WEAVE_RECORDER_H
#define WEAVE_RECORDER_H

extern const char recorder_go[];      /* a file of package runtime … */
extern const char recorder_marks_go[], recorder_asked_go[], recorder_sent_go[]; /* … and others, beside it */
extern const char recorder_noop_go[]; /* the same for woven code, doing nothing: where there is no recorder for the
				       * machine, or the runtime cannot be woven */
extern const char recorder_amd64_s[]; /* to be appended to asm_amd64.s of package runtime, beside recorder_go */
extern const char recorder_arm64_s[];

/* A call that must be made at the beginning of runtime.main; with recorder_noop_go, too. */
#define RECORDER_INIT "earshotInit()"

#endif
