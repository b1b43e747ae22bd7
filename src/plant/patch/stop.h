/*
 * All threads of a process stopped by ptrace, and system calls that one of them makes for us. Used by the hand
 * only (hand.c). Nothing here writes a byte of the process.
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
	VEC(struct tracee) threads;
};

/*
 * Stops every thread. -ESRCH gone; -EPERM with who or what forbids it; -EBUSY a debugger has it;
 * -ETIMEDOUT a thread that does not stop (in the kernel): all go on then, that one as soon as threads_let_strays_go
 * meets it.
 */
int threads_stop(int pid, struct stopped *ret, struct err *err);
void threads_resume(struct stopped *s); /* lets all go on, as they were */
/* To be called now and then; whether there still is one. */
bool threads_let_strays_go(void);

/* A field of /proc/TID/status ("\nName:"), as text; false when it is not there. */
bool thread_status(pid_t tid, const char *name, char *ret, size_t size);
int thread_registers(const struct tracee *t, struct user_regs_struct *ret);
int thread_signal_mask(const struct tracee *t, uint64_t *ret);

struct system_call {
	long nr;
	uint64_t args[6];
	int64_t result; /* as the kernel gives it: -errno */
};
/*
 * One thread makes the system calls, each even when an earlier one failed, from the `syscall` instruction at
 * insn; then it is as it was before. Negative when the process is lost. insn should be that of runtime.futex: see
 * stop.c.
 */
int threads_call(struct stopped *s, uint64_t insn, struct system_call *calls, size_t n, struct err *err);

/*
 * Runs a process that is one thread, stopped early in its start, until it executes the instruction at addr,
 * and stops all threads there. mem: /proc/PID/mem.
 */
int threads_run_to(struct stopped *s, int mem, uint64_t addr, struct err *err);

#endif
