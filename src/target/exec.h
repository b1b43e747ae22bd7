/*
 * Tells of execs as they happen, from the kernel's sched_process_exec tracepoint: of processes that were named, or of
 * all. On a machine where much is started each of them wakes whoever waits.
 */
#ifndef TARGET_EXEC_H
#define TARGET_EXEC_H

#include <stdint.h>

#include "base/err.h"

struct exec_watch;

/* Errors: -EPERM, -ENOSYS with a sentence; the caller may go on by polling. */
int exec_watch_new(struct exec_watch **ret, struct err *err);
void exec_watch_free(struct exec_watch *w);
int exec_watch_fd(struct exec_watch *w); /* readable when an exec happened */
struct exec_event {
	uint64_t pid; /* in the initial PID namespace */
	uint64_t monotonic_ns;
	char name[16]; /* what it executed, cut to 15 bytes */
};
#define EXEC_ALL 0 /* every process; else its id */
/* From now on they are told of, or no more. Nobody is in the beginning. What finds no room makes it all. */
void exec_watch_add(struct exec_watch *w, uint64_t pid);
void exec_watch_remove(struct exec_watch *w, uint64_t pid);
void exec_watch_drain(struct exec_watch *w, void (*fn)(void *arg, const struct exec_event *e), void *arg);

#endif
