/*
 * All threads of a process stopped by ptrace, and system calls that one of them makes for us. Only the helper uses
 * this. Nothing here writes a byte of the process.
 */
#ifndef PLANT_PATCH_STOP_H
#define PLANT_PATCH_STOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "base/err.h"
#include "base/vec.h"

struct tracee {
	pid_t tid;
	int signal;    /* that was about to be delivered when it stopped; 0: none */
	bool stopped, gone;
	bool moved;    /* it ran for us since: the signal must be sent anew, */
	uint64_t came; /* and those that came meanwhile: bit N - 1 for signal N */
};

struct stopped {
	int pid;
	pid_t at;      /* the thread that threads_run_to stopped at its address; 0 */
	VEC(struct tracee) threads;
};

/*
 * Stops every thread. -ESRCH: the process is gone; -EPERM: something forbids it; -EBUSY: a debugger has it;
 * -ETIMEDOUT: a thread does not stop (it is in the kernel). Then all others go on, and that one as soon as
 * threads_detach_pending finds it stopped.
 */
int threads_stop(int pid, struct stopped *ret, struct err *err);
void threads_resume(struct stopped *s); /* detaches from all, which go on as they were */
/*
 * Lets threads go that have stopped only after threads_stop gave up on them; to be called now and then. Returns whether
 * there are still some to wait for.
 */
bool threads_detach_pending(void);

/* A field of /proc/TID/status ("\nName:"), as text; false when it is not there. */
bool thread_status(pid_t tid, const char *name, char *ret, size_t size);
int thread_registers(const struct tracee *t, struct user_regs_struct *ret);
int thread_signal_mask(const struct tracee *t, uint64_t *ret);

struct system_call {
	long nr;
	uint64_t args[6];
	int64_t result; /* as the kernel gives it: -errno */
};
#define SYSCALLS_UNREAD 2
/* `syscall` instructions of the program; 0: there is none such (but for any). */
struct syscall_insns {
	uint64_t any;
	uint64_t futex;                   /* of runtime.futex */
	uint64_t unread[SYSCALLS_UNREAD]; /* of functions that do not look at what the call returned */
};
/*
 * Whether a thread waits where it survives whatever becomes of us (see stop.c). Where none does, one will in a moment.
 */
bool threads_can_call(const struct stopped *s, const struct syscall_insns *at);
/*
 * One thread makes the system calls, each even when an earlier one failed; then it is as it was before. Negative when
 * the process is lost.
 */
int threads_call(struct stopped *s, const struct syscall_insns *at, struct system_call *calls, size_t n,
		 struct err *err);

/*
 * Runs a process that is one thread, stopped early in its start, until it executes the instruction at addr,
 * and stops all threads there. mem: /proc/PID/mem.
 */
int threads_run_to(struct stopped *s, int mem, uint64_t addr, struct err *err);
/* Then lets all run for so long, but for the one that came there. */
int threads_run_others(struct stopped *s, useconds_t us, struct err *err);

#endif
