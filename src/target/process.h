/*
 * A running process as something to observe: which file it runs, where that file is loaded. Everything
 * comes from a procfs whose root is a parameter, so tests run on dumps.
 */
#ifndef TARGET_PROCESS_H
#define TARGET_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "binary/image.h"

struct process {
	int pid;
	char *exe;               /* as the process sees its path, without " (deleted)" */
	char exe_path[64];       /* PROCFS/PID/exe: opens the very file, in any mount namespace */
	struct file_id file;     /* the one it runs, as it was when this was read */
	uint64_t start_ticks;    /* tells a reused PID apart */
	uint64_t stack;          /* where it began: chosen at random at each exec; 0 or 1 where it may not be known */
};

/*
 * Errors: -ESRCH no such process or a zombie, -EACCES (whose it is and what is missing), -ENOEXEC for what has no
 * executable: kernel threads, processes whose first thread has ended.
 */
int process_read(const char *procfs, int pid, struct process *ret, struct err *err);
void process_done(struct process *p);
/*
 * Whether the process stands still by somebody's will, so that nothing will be seen of it: stopped by a signal, or
 * frozen by its control group. Appends to out which of them, and what lets it go on: "is frozen …".
 */
bool process_halted(const char *procfs, int pid, struct buf *out);
/* -EINVAL, with the sentence that says whose it is, when pid is a thread and no process. */
int process_check_id(const char *procfs, int pid, struct err *err);
/*
 * Whether both are the same process, which has executed nothing in between as far as can be told: without address space
 * randomisation it may have executed the same file again.
 */
bool process_same(const struct process *a, const struct process *b);
/* The base name of exe: what a person calls the program. */
const char *process_name(const struct process *p);
/* Run-time address minus image address, from PROCFS/PID/maps. -ESRCH gone, -ENODATA not mapped. */
int process_bias(const char *procfs, const struct process *p, const struct image *img, uint64_t *ret,
		 struct err *err);
/* Field 22 of PROCFS/PID/stat; 0 when gone. */
uint64_t process_start_ticks(const char *procfs, int pid);
/*
 * Whether the process has ended, all its threads. What has begun to end is waited for, at most wait_ms: what /proc then
 * shows of it is no longer the program. It may be a zombie.
 */
bool process_ended(const char *procfs, int pid, int wait_ms);
/*
 * How it ended, as wait(2) tells its parent. Only of one that has (pidfd is readable). False where that may not be
 * known: its parent has taken note of its end, and the kernel is older than 6.15.
 */
bool process_exit_status(const char *procfs, const struct process *p, int pidfd, int *ret);
/* CPU time that the process has used, user and system, to the clock tick; 0 when gone. */
uint64_t process_cpu_ns(const char *procfs, int pid);
int process_parent(const char *procfs, int pid); /* 0 when gone */
/* Which network namespace it is in, as a number that no other has at the same time; 0 where it may not be known. */
uint64_t process_network(const char *procfs, int pid);
/* Whether the CPU keeps a second stack of its return addresses (x86's user shadow stack). */
bool process_has_shadow_stack(const char *procfs, int pid);
/* Whether pid is ancestor or one of its descendants. */
bool process_descends(const char *procfs, int pid, int ancestor);

#endif
