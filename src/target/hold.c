#include "target/hold.h"

#include <errno.h>
#include <signal.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/vec.h"
#include "target/process.h"

#define STOP_NS 100000000u /* how long we wait for it to stop: it usually takes microseconds */

static VEC(pid_t) late;

static bool stopped(pid_t pid, int *ret_status)
{
	return waitpid(pid, ret_status, __WALL | WNOHANG) == pid;
}

/* A stop with an event is ptrace's own; another one is a signal's, which the process is still to get. */
static struct hold hold_of(pid_t pid, int status)
{
	return (struct hold){pid, WIFSTOPPED(status) && !(status >> 16) ? WSTOPSIG(status) : 0};
}

bool hold_process(pid_t pid, struct hold *ret)
{
	uint64_t deadline = clock_monotonic_ns() + STOP_NS;
	int status;

	if (process_parent("/proc", pid) == getpid() || ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return false;
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	while (!stopped(pid, &status)) {
		if (clock_monotonic_ns() > deadline) {
			vec_push(&late, pid);
			return false;
		}
		sched_yield();
	}
	*ret = hold_of(pid, status);
	return WIFSTOPPED(status);
}

void hold_release(const struct hold *h)
{
	/* Killed while it was held: its parent hears of it when we have. */
	if (ptrace(PTRACE_DETACH, h->pid, NULL, (void *)(long)h->signal) < 0 && errno == ESRCH)
		waitpid(h->pid, NULL, __WALL | WNOHANG);
}

void hold_release_late(void)
{
	int status;

	for (size_t i = 0; i < late.len;) {
		struct hold h = {.pid = late.data[i]};

		if (!stopped(h.pid, &status)) {
			i++;
			continue;
		}
		h = hold_of(h.pid, status);
		hold_release(&h);
		late.data[i] = late.data[--late.len];
	}
}
