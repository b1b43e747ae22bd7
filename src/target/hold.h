/* Keeps a process from running on while its probes are planted, as debuggers do, but without any signal. */
#ifndef TARGET_HOLD_H
#define TARGET_HOLD_H

#include <stdbool.h>
#include <sys/types.h>

struct hold {
	pid_t pid;
	int signal; /* that was about to be delivered to it, 0: none */
};

/*
 * Stops the first thread of process pid, which has just executed a program and has no other yet. False when it cannot
 * be had: no privileges, a debugger has it, it is gone, or it is a child of ours, whose exit status this would take
 * away. If we are killed the kernel lets it go.
 */
bool hold_process(pid_t pid, struct hold *ret);
void hold_release(const struct hold *h);
/* Lets those go that did not stop in time. To be called now and then. */
void hold_release_late(void);

#endif
