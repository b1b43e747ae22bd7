/* Runs another program and takes what it prints. */
#ifndef WEAVE_SPAWN_H
#define WEAVE_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"

/* Its exit code, as a shell has it: 127 where it cannot be run. output: what it prints; with errors what it says on
 * standard error, too, which is ours otherwise. */
int spawn_capture(char *const *argv, bool errors, struct buf *output);
/* Until a child of ours ends: its exit code as a shell has it. */
int spawn_wait(pid_t pid);

#endif
