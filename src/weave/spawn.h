/* Runs another program and takes what it prints. */
#ifndef WEAVE_SPAWN_H
#define WEAVE_SPAWN_H

#include <sys/types.h>

#include "base/buf.h"

enum spawn_errors {
	SPAWN_OURS,  /* what it says on standard error goes where ours does */
	SPAWN_TAKEN, /* … is taken with the output */
	SPAWN_QUIET, /* … is nobody's */
};
/* Its exit code, as a shell has it: 127 where it cannot be run. output: what it prints. */
int spawn_capture(char *const *argv, enum spawn_errors errors, struct buf *output);
/* Until a child of ours ends: its exit code as a shell has it. */
int spawn_wait(pid_t pid);

#endif
