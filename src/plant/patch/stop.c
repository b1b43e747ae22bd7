/*
 * Threads are seized, not attached to: no signal is involved, and a stop that has not ended by the time
 * the tracer dies is undone by the kernel.
 *
 * A system call made for us: signals are blocked, registers set, and the thread runs from the call's
 * entry stop to its exit stop. When it was stopped inside a system call of its own, the kernel restarts that one
 * only on its way through the signal code; so the thread is interrupted once more with its own registers back, and
 * let go from there.
 *
 * And when the tracer is killed in the middle of that? The thread runs on behind the `syscall` instruction, with
 * whatever result. So a thread in a system call of its own makes ours at the very instruction where it is: what it
 * finds behind it is its own frame, and only the result is wrong. Safe are those that do not look at that:
 * - a FUTEX_WAIT in runtime.futex: the runtime takes any result for a wake-up that meant nothing. (Not a FUTEX_WAKE, of
 *   which it checks the result);
 * - the calls of runtime.usleep and runtime.osyield, behind whose instruction nothing reads a register (facts.c).
 * Of such a thread not even the signals are blocked; those that come meanwhile are sent anew. It may just as well be
 * on its way out of the call, or in the restart of one (restart_syscall) that another stop has interrupted: then its
 * registers are still those of the call.
 *
 * Nearly always there is one: threads without work wait in runtime.futex, and the runtime's monitor sleeps in
 * runtime.usleep between two looks. In the first second of a busy program, which has no thread without work yet, the
 * monitor may be awake; so whoever finds no safe thread lets the process run for a moment and stops it again
 * (remote_calls). Where that never helps (a program all of whose threads are elsewhere), others make the calls, which
 * would not survive it.
 *
 * A seccomp filter could end the program for a call that it does not make itself. Which ones cannot be asked without
 * privileges, and with them the kernel suspends the filter for as long as we trace the thread. It acts again when the
 * tracer is gone: also on the one call that was about to be made then.
 */
#include "plant/patch/stop.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <linux/futex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/caps.h"
#include "base/clock.h"
#include "base/file.h"
#include "plant/patch/fault.h"
#include "target/process.h"

#define STOP_TIMEOUT_NS 500000000ull
#define CALL_TIMEOUT_NS 2000000000ull
#define PENDING_NS 10000000ull
#define START_TIMEOUT_NS 10000000000ull
#define YIELDS 200
#define SEIZE_TRIES 3
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define OPTIONS PTRACE_O_TRACESYSGOOD

/* A stop usually takes microseconds, in which a program stands still: a sleep would be the longest part of it. */
static int wait_tid(pid_t tid, int *ret_status, uint64_t deadline)
{
	useconds_t pause = 20;

	for (int tries = 0;; tries++) {
		pid_t r = waitpid(tid, ret_status, __WALL | WNOHANG);

		if (r == tid)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
		if (clock_monotonic_ns() > deadline)
			return -ETIMEDOUT;
		if (tries < YIELDS) {
			sched_yield();
			continue;
		}
		usleep(pause);
		pause = MIN(2 * pause, 1000u);
	}
}

static VEC(pid_t) pending; /* threads that we trace and that had not stopped when we gave up on them */

/* The signal that was about to be delivered; 0 when the stop is an event of ptrace's own. */
static int stop_signal(int status)
{
	return status >> 16 || WSTOPSIG(status) == SYSCALL_STOP ? 0 : WSTOPSIG(status);
}

bool thread_status(pid_t tid, const char *name, char *ret, size_t size)
{
	_cleanup_(buf_done) struct buf b = {0};
	char path[64];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (file_read(path, &b, 0) < 0 || !b.data)
		return false;
	p = strstr(b.data, name);
	if (!p)
		return false;
	p += strlen(name);
	p += strspn(p, " \t");
	snprintf(ret, size, "%.*s", (int)strcspn(p, "\n"), p);
	return true;
}

static int tracer_of(pid_t tid)
{
	char text[32];

	return thread_status(tid, "\nTracerPid:", text, sizeof(text)) ? (int)strtol(text, NULL, 10) : 0;
}

static bool is_exiting(pid_t tid)
{
	char state[32];

	return !thread_status(tid, "\nState:", state, sizeof(state)) || *state == 'Z' || *state == 'X';
}

static bool any_thread_lives(int pid)
{
	bool lives = false;
	struct dirent *e;
	char path[64];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && !lives && (e = readdir(d))) {
		pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);

		lives = tid > 0 && !is_exiting(tid);
	}
	if (d)
		closedir(d);
	return lives;
}

/*
 * A zombie may be traced by nobody, which is not a matter of rights. Its threads may be about to end as well: -EBUSY.
 */
static int has_ended(int pid, struct err *err)
{
	if (any_thread_lives(pid))
		return err_set(err, -EBUSY, "the first thread of process %d has ended: the others cannot be traced",
			       pid);
	return err_set(err, -ESRCH, "process %d has ended", pid);
}

static int cannot_seize(int pid, pid_t tid, int e, struct err *err)
{
	int tracer = tracer_of(tid);

	if (e == ESRCH)
		return err_set(err, -ESRCH, "process %d went away while attaching", pid);
	if (tid == pid && is_exiting(tid))
		return has_ended(pid, err);
	if (tracer)
		return err_set(err, -EBUSY, "process %d is being traced by process %d (a debugger?), and only one can",
			       pid, tracer);
	return err_set(err, -EPERM, "process %d may not be traced (%s): %s", pid, strerror(e),
		       caps_ptrace_advice("it needs the same user and, where kernel.yama.ptrace_scope is 1, that "
					  "earshot started it; or CAP_SYS_PTRACE"));
}

static struct tracee *find(struct stopped *s, pid_t tid)
{
	for (size_t i = 0; i < s->threads.len; i++)
		if (s->threads.data[i].tid == tid)
			return &s->threads.data[i];
	return NULL;
}

/*
 * Where it may not be traced since someone else traces it, that is seen in its status: unless it was let go just now.
 */
static int seize(pid_t tid)
{
	int code = 0;

	for (int i = 0; i < SEIZE_TRIES; i++) {
		int tracer;

		if (ptrace(PTRACE_SEIZE, tid, NULL, OPTIONS) == 0)
			return 0;
		code = -errno;
		tracer = tracer_of(tid);
		if (tracer == getpid()) /* one that a thread of ours has just made (threads_run_to) */
			return 0;
		if (code != -EPERM || tracer)
			break;
	}
	return code;
}

/* Seizes threads not yet known; how many there were, or a negative errno. */
static int seize_new(struct stopped *s, struct err *err)
{
	char path[64];
	struct dirent *e;
	int n = 0, code;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", s->pid);
	d = opendir(path);
	if (!d)
		return err_set(err, -ESRCH, "process %d went away while attaching", s->pid);
	while ((e = readdir(d))) {
		pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);

		if (tid <= 0 || find(s, tid))
			continue;
		code = seize(tid);
		if (code == -ESRCH || (code == -EPERM && tid != s->pid && is_exiting(tid)))
			continue;
		if (code) {
			closedir(d);
			return cannot_seize(s->pid, tid, -code, err);
		}
		vec_push(&s->threads, ((struct tracee){.tid = tid}));
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
		n++;
	}
	closedir(d);
	return n;
}

static int does_not_stop(const struct stopped *s, const struct tracee *t, struct err *err)
{
	_cleanup_(buf_done) struct buf why = {0};

	if (process_halted("/proc", s->pid, &why))
		return err_set(err, -ETIMEDOUT, "process %d %s; probes can be put into it once it runs again", s->pid,
			       why.data);
	return err_set(err, -ETIMEDOUT, "thread %d of process %d does not stop: it waits in the kernel; try again",
		       t->tid, s->pid);
}

static int wait_stopped(struct stopped *s, struct tracee *t, uint64_t deadline, struct err *err)
{
	int status, r;

	if (t->stopped || t->gone)
		return 0;
	r = fault_now("stuck") ? -ETIMEDOUT : wait_tid(t->tid, &status, deadline);
	if (r == -ETIMEDOUT)
		return does_not_stop(s, t, err);
	if (r < 0 || !WIFSTOPPED(status)) {
		t->gone = true;
		return 0;
	}
	t->stopped = true;
	t->signal = stop_signal(status);
	return 0;
}

/* A thread can make another until it stops, so until none is new. */
static int stop_all(struct stopped *s, struct err *err)
{
	uint64_t deadline = clock_monotonic_ns() + STOP_TIMEOUT_NS;
	int n, r = 0;

	do {
		n = seize_new(s, err);
		for (size_t i = 0; n > 0 && i < s->threads.len && !r; i++)
			r = wait_stopped(s, &s->threads.data[i], deadline, err);
	} while (n > 0 && !r);
	return n < 0 ? n : r;
}

int threads_stop(int pid, struct stopped *ret, struct err *err)
{
	struct stopped s = {.pid = pid};
	int r;

	threads_detach_pending();
	r = stop_all(&s, err);
	fault_die(pid);
	if (r < 0) {
		threads_resume(&s);
		return r;
	}
	*ret = s;
	return 0;
}

/*
 * Detaching needs a stop. A thread that cannot be detached is dying, since those that were detached first have ended
 * the program: then we have to wait for its end, or the process stays a zombie.
 */
static void detach(struct stopped *s, struct tracee *t)
{
	int status;

	if (!t->stopped) {
		int r = wait_tid(t->tid, &status, clock_monotonic_ns() + PENDING_NS);

		if (r == -ETIMEDOUT)
			vec_push(&pending, t->tid);
		if (r < 0)
			return;
		t->signal = WIFSTOPPED(status) ? stop_signal(status) : 0;
	}
	if (t->signal && t->moved) {
		t->came |= 1ull << (t->signal - 1);
		t->signal = 0;
	}
	for (int sig = 1; sig <= 64; sig++)
		if (t->came >> (sig - 1) & 1)
			syscall(SYS_tgkill, s->pid, t->tid, sig);
	if (ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(intptr_t)t->signal) < 0)
		wait_tid(t->tid, &status, clock_monotonic_ns() + STOP_TIMEOUT_NS);
}

bool threads_detach_pending(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < pending.len; i++) {
		pid_t tid = pending.data[i];
		int status, r = waitpid(tid, &status, __WALL | WNOHANG);

		if (r == 0)
			pending.data[kept++] = tid;
		else if (r == tid && WIFSTOPPED(status))
			ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)stop_signal(status));
	}
	pending.len = kept;
	return kept;
}

void threads_resume(struct stopped *s)
{
	for (size_t i = 0; i < s->threads.len; i++)
		if (!s->threads.data[i].gone)
			detach(s, &s->threads.data[i]);
	vec_done(&s->threads);
}

int thread_registers(const struct tracee *t, struct user_regs_struct *ret)
{
	return ptrace(PTRACE_GETREGS, t->tid, NULL, ret) < 0 ? -errno : 0;
}

int thread_signal_mask(const struct tracee *t, uint64_t *ret)
{
	return ptrace(PTRACE_GETSIGMASK, t->tid, (void *)sizeof(*ret), ret) < 0 ? -errno : 0;
}

/* ---- system calls ---- */

/* Waits until the thread that runs for us stops; a signal that it stops for is kept, to be sent anew. */
static int wait_for_stop(struct tracee *t, int *ret_status)
{
	int sig, r = wait_tid(t->tid, ret_status, clock_monotonic_ns() + CALL_TIMEOUT_NS);

	if (r < 0)
		return r;
	if (!WIFSTOPPED(*ret_status))
		return -ESRCH;
	sig = stop_signal(*ret_status);
	if (sig > 0)
		t->came |= 1ull << (sig - 1);
	return 0;
}

/* Runs to the next stop at a system call; stops for other reasons are passed by. */
static int run_to_syscall_stop(struct tracee *t)
{
	int status, r;

	for (int i = 0; i < 100; i++) {
		if (ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL) < 0)
			return -errno;
		r = wait_for_stop(t, &status);
		if (r < 0 || WSTOPSIG(status) == SYSCALL_STOP)
			return r;
	}
	return -EIO;
}

static int call_once(struct tracee *t, const struct user_regs_struct *own, uint64_t insn, struct system_call *c)
{
	struct user_regs_struct regs = *own;
	int r;

	regs.rip = insn;
	regs.rax = (uint64_t)c->nr;
	regs.orig_rax = (uint64_t)-1;
	regs.rdi = c->args[0];
	regs.rsi = c->args[1];
	regs.rdx = c->args[2];
	regs.r10 = c->args[3];
	regs.r8 = c->args[4];
	regs.r9 = c->args[5];
	if (ptrace(PTRACE_SETREGS, t->tid, NULL, &regs) < 0)
		return -errno;
	fault_slow("slow-call");
	r = run_to_syscall_stop(t);
	fault_slow("slow-call");
	if (!r)
		r = run_to_syscall_stop(t);
	fault_slow("slow-call");
	if (!r)
		r = thread_registers(t, &regs);
	c->result = (int64_t)regs.rax;
	return r;
}

/* Its own registers and mask, at a stop from which the kernel restarts its own system call. */
static int restore(struct tracee *t, const struct user_regs_struct *own, uint64_t mask)
{
	int status, r;

	if (ptrace(PTRACE_SETREGS, t->tid, NULL, own) < 0 || ptrace(PTRACE_SETOPTIONS, t->tid, NULL, OPTIONS) < 0 ||
	    ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) < 0 ||
	    ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
		return -errno;
	r = wait_for_stop(t, &status);
	if (r < 0)
		return r;
	return ptrace(PTRACE_SETSIGMASK, t->tid, (void *)sizeof(mask), &mask) < 0 ? -errno : 0;
}

enum { SAFE, IN_CALL, RUNNING, SIGNALLED, NONE };

/* For our calls; the thread's own are filtered again from the next SETOPTIONS on. */
static int suspend_seccomp(const struct stopped *s, const struct tracee *t, struct err *err)
{
	const int suspend = OPTIONS | PTRACE_O_SUSPEND_SECCOMP;
	char mode[32] = "0";

	if (ptrace(PTRACE_SETOPTIONS, t->tid, NULL, suspend) == 0 ||
	    !thread_status(t->tid, "\nSeccomp:", mode, sizeof(mode)) || *mode == '0')
		return 0;
	return err_set(err, -ENOTSUP,
		       "process %d runs under a seccomp filter, which might end it for a system call that earshot "
		       "makes in it; earshot can suspend the filter meanwhile only if it has CAP_SYS_ADMIN and is "
		       "under no filter itself; run it so, or use --planter uprobe",
		       s->pid);
}

static bool is_behind(const struct user_regs_struct *regs, uint64_t insn)
{
	return insn && regs->rip == insn + 2;
}

/* Whether nobody minds what the call returns in which the thread is. */
static bool is_unread(const struct user_regs_struct *regs, const struct syscall_insns *at)
{
	bool unread = is_behind(regs, at->futex) && (regs->rsi & FUTEX_CMD_MASK) == FUTEX_WAIT;

	for (size_t i = 0; i < SYSCALLS_UNREAD; i++)
		unread |= is_behind(regs, at->unread[i]);
	return unread;
}

/* A thread that is in a system call has just executed its instruction: if it was a `syscall`, and not an `int 0x80`. */
static bool is_behind_syscall(const struct tracee *t, const struct user_regs_struct *regs)
{
	long word;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, t->tid, (void *)(regs->rip - 2), NULL);
	return !errno && (word & 0xffff) == 0x050f;
}

/* How well a thread suits to make calls for us. */
struct suited {
	struct user_regs_struct regs;
	uint64_t insn; /* the `syscall` to borrow */
	int rank;
};

/*
 * Second best is one that is in another system call, which is nowhere delicate; worst one with a signal on its way,
 * which would have to be sent anew (a fault cannot be: it would lose its address).
 */
static struct suited suits(const struct tracee *t, const struct syscall_insns *at)
{
	struct suited u = {.insn = at->any, .rank = NONE};

	if (t->gone || t->signal == SIGSEGV || t->signal == SIGBUS || thread_registers(t, &u.regs) < 0)
		return u;
	u.rank = t->signal			   ? SIGNALLED
		 : is_unread(&u.regs, at)	   ? SAFE
		 : (int64_t)u.regs.orig_rax >= 0   ? IN_CALL
						   : RUNNING;
	if (u.rank <= IN_CALL && is_behind_syscall(t, &u.regs))
		u.insn = u.regs.rip - 2;
	else if (u.rank == SAFE)
		u.rank = IN_CALL;
	return u;
}

static struct tracee *choose(const struct stopped *s, const struct syscall_insns *at, struct suited *ret)
{
	struct tracee *best = NULL;

	*ret = (struct suited){.rank = NONE};
	for (size_t i = 0; i < s->threads.len && ret->rank != SAFE; i++) {
		struct suited u = suits(&s->threads.data[i], at);

		if (u.rank >= ret->rank)
			continue;
		best = &s->threads.data[i];
		*ret = u;
	}
	return best;
}

bool threads_can_call(const struct stopped *s, const struct syscall_insns *at)
{
	struct suited u;

	return !fault_now("unsafe") && choose(s, at, &u) && u.rank == SAFE;
}

int threads_call(struct stopped *s, const struct syscall_insns *at, struct system_call *calls, size_t n,
		 struct err *err)
{
	uint64_t mask, all = ~0ull;
	struct suited u;
	int r;
	struct tracee *t = choose(s, at, &u);

	if (!t)
		return err_set(err, -EBUSY, "no thread of process %d could make a system call for earshot just now; "
					    "try again",
			       s->pid);
	r = suspend_seccomp(s, t, err);
	if (r)
		return r;
	if (thread_signal_mask(t, &mask) < 0 ||
	    (u.rank != SAFE && ptrace(PTRACE_SETSIGMASK, t->tid, (void *)sizeof(all), &all) < 0))
		return err_set(err, -ESRCH, "process %d went away while attaching", s->pid);
	t->moved = true;
	for (size_t i = 0; i < n && !r; i++)
		r = call_once(t, &u.regs, u.insn, &calls[i]);
	if (restore(t, &u.regs, mask) < 0 || r < 0)
		return err_set(err, r ? r : -EIO, "process %d did not come back from a system call made for earshot",
			       s->pid);
	return 0;
}

/* ---- the start of a program ---- */

#define START_OPTIONS (OPTIONS | PTRACE_O_TRACECLONE)

/* What a stop means while the program runs on: 1 when it is at the breakpoint. */
static int at_start_stop(pid_t tid, int status, uint64_t addr)
{
	struct user_regs_struct regs;
	int sig = WSTOPSIG(status);

	if (status >> 16 || sig == SYSCALL_STOP) {
		ptrace(PTRACE_CONT, tid, NULL, NULL);
		return 0;
	}
	if (sig == SIGTRAP && ptrace(PTRACE_GETREGS, tid, NULL, &regs) == 0 && regs.rip == addr + 1) {
		regs.rip = addr;
		return ptrace(PTRACE_SETREGS, tid, NULL, &regs) < 0 ? -errno : 1;
	}
	if (sig == SIGCONT) /* ours: it was held stopped */
		sig = 0;
	ptrace(PTRACE_CONT, tid, NULL, (void *)(intptr_t)sig);
	return 0;
}

static int run_until(struct stopped *s, uint64_t addr, pid_t *ret_tid, struct err *err)
{
	uint64_t deadline = clock_monotonic_ns() + START_TIMEOUT_NS;

	for (;;) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);

		if (tid > 0 && WIFSTOPPED(status)) {
			int r;

			if (!find(s, tid))
				vec_push(&s->threads, ((struct tracee){.tid = tid}));
			r = at_start_stop(tid, status, addr);
			*ret_tid = tid;
			if (r)
				return r < 0 ? r : 0;
		} else if (tid == s->pid || (tid < 0 && errno == ECHILD)) {
			return err_set(err, -ESRCH, "process %d ended before it came to its main function", s->pid);
		} else if (clock_monotonic_ns() > deadline) {
			return err_set(err, -ETIMEDOUT, "process %d did not come to its main function within 10 s",
				       s->pid);
		} else if (tid <= 0) {
			usleep(200);
		}
	}
}

/* Interrupts those that run; s->at is stopped already. */
static int gather(struct stopped *s, struct err *err)
{
	for (size_t i = 0; i < s->threads.len; i++) {
		struct tracee *t = &s->threads.data[i];

		t->stopped = t->tid == s->at;
		t->signal = 0;
		if (!t->stopped)
			ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL);
	}
	for (size_t i = 0; i < s->threads.len; i++) {
		int r = wait_stopped(s, &s->threads.data[i], clock_monotonic_ns() + STOP_TIMEOUT_NS, err);

		if (r < 0)
			return r;
	}
	return stop_all(s, err);
}

int threads_run_to(struct stopped *s, int mem, uint64_t addr, struct err *err)
{
	const unsigned char trap = 0xcc;
	unsigned char old;
	int r;

	if (pread(mem, &old, 1, (off_t)addr) != 1 || pwrite(mem, &trap, 1, (off_t)addr) != 1)
		return err_set(err, -EPERM, "the code of process %d cannot be written (%s); use attach once it runs",
			       s->pid, strerror(errno));
	for (size_t i = 0; i < s->threads.len; i++) {
		ptrace(PTRACE_SETOPTIONS, s->threads.data[i].tid, NULL, START_OPTIONS);
		ptrace(PTRACE_CONT, s->threads.data[i].tid, NULL, s->threads.data[i].signal);
	}
	kill(s->pid, SIGCONT);
	r = run_until(s, addr, &s->at, err);
	if (!r || r == -ETIMEDOUT) {
		int gathered = gather(s, err);

		r = r ? r : gathered;
	}
	if (pwrite(mem, &old, 1, (off_t)addr) != 1 && !r)
		r = err_set(err, -EIO, "process %d went away at its start", s->pid);
	for (size_t i = 0; i < s->threads.len; i++)
		ptrace(PTRACE_SETOPTIONS, s->threads.data[i].tid, NULL, OPTIONS);
	return r;
}

int threads_run_others(struct stopped *s, useconds_t us, struct err *err)
{
	for (size_t i = 0; i < s->threads.len; i++) {
		const struct tracee *t = &s->threads.data[i];

		if (t->tid != s->at && !t->gone)
			ptrace(PTRACE_CONT, t->tid, NULL, (void *)(intptr_t)t->signal);
	}
	usleep(us);
	return gather(s, err);
}
