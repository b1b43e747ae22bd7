/* A program that we start: held at its exec until the probes are in, given our signals, its exit code ours. */
#ifndef CMD_CHILD_H
#define CMD_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"

struct child {
	struct loop *loop;
	void (*exited)(void *arg); /* called when it has ended; a signal after that quits the loop */
	void *arg;
	pid_t pid;
	int status;
	bool gone, stopped;
};

/* From now on signals are passed on to the child, and its end is noticed. Before child_start. */
void child_watch(struct child *c);
/* Returns with the program stopped at its exec. -errno with a sentence. */
int child_start(struct child *c, char **argv, struct err *err);
/*
 * For a planter that traces by itself: nobody traces the child now, a stop signal holds it before
 * its first instruction.
 */
void child_hand_over(struct child *c);
/* Lets it run its first instruction. */
void child_go(struct child *c);
/* What a shell would give: its exit code, or 128 + the signal. */
int child_exit_code(const struct child *c);
/* The exit code for a program that could not be started, as shells have it. */
int child_start_exit_code(const struct err *err);

#endif
