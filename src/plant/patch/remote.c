/*
 * The steps in a process. Each begins with a check that the process is still the program it was: exec leaves the
 * PID and all else alike, but /proc/PID/mem, opened before, no longer reads. What is about to be written is compared
 * with what is expected there, always.
 */
#include "plant/patch/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/caps.h"
#include "base/clock.h"
#include "base/file.h"
#include "plant/patch/fault.h"

#define BATCH 1000         /* patches written in one stop, some microseconds each */
#define BATCH_PAUSE_US 1000
#define LEAVE_PAUSE_US 3000 /* a thread inside may have to wait for a processor: each time twice as long, */
#define LEAVE_PAUSE_MAX_US 200000
#define LEAVE_RUN_US 30000000   /* that long altogether while one is in our code, which it leaves as soon as it runs, */
#define LEAVE_BLOCKED_US 3000000 /* and while one blocks signals, which it may do for ever */
#define LEAVE_LENT_US 500000 /* while a call has what was lent to it: it may block for ever */
#define SAFE_TRIES 20      /* until a thread is where it can make calls without danger, */
#define SAFE_PAUSE_US 1000 /* each time so much longer */
#define HOLD_TRIES 4       /* a thread is in the kernel until the program that it starts has begun; the helper of a
			    * dead earshot is at work */
#define HOLD_PAUSE_US 100000
#define HOLD_RETRIES 20    /* when something must be taken out */

/* ---- memory ---- */

bool remote_read(const struct remote *r, uint64_t addr, void *p, size_t n)
{
	return pread(r->mem, p, n, (off_t)addr) == (ssize_t)n;
}

/* Since Linux 6.12 writing to what is mapped read-only may be left to ptrace (proc_mem.force_override). */
static int poke(const struct remote *r, uint64_t addr, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < r->stopped.threads.len; i++) {
		const struct tracee *t = &r->stopped.threads.data[i];
		uint8_t word[16];

		if (t->gone)
			continue;
		if (!remote_read(r, addr & ~7ull, word, sizeof(word)))
			return -EIO;
		memcpy(word + (addr & 7), p, n);
		for (size_t k = 0; k < sizeof(word); k += 8) {
			long v;

			memcpy(&v, word + k, sizeof(v));
			if (ptrace(PTRACE_POKETEXT, t->tid, (void *)((addr & ~7ull) + k), (void *)v) < 0)
				return -errno;
		}
		return 0;
	}
	return -ESRCH;
}

static int write_code(const struct remote *r, uint64_t addr, const uint8_t *p, size_t n)
{
	if (fault_now("code"))
		return -EIO;
	if (!fault_now("forced") && pwrite(r->mem, p, n, (off_t)addr) == (ssize_t)n)
		return 0;
	return poke(r, addr, p, n);
}

bool remote_write(const struct remote *r, uint64_t addr, const void *p, size_t n)
{
	return !fault_now("write") && pwrite(r->mem, p, n, (off_t)addr) == (ssize_t)n;
}

uint64_t remote_page_addr(const struct remote *r)
{
	return r->page.maps[0].addr + SHARED_PAGE;
}

bool remote_publish(const struct remote *r)
{
	const size_t from = offsetof(struct shared_page, token);

	return remote_write(r, remote_page_addr(r) + from, (const char *)&r->page + from, sizeof(r->page) - from);
}

bool remote_claim(struct remote *r)
{
	uint64_t token;

	if (getrandom(&token, sizeof(token), 0) != sizeof(token))
		token = clock_monotonic_ns();
	r->page.magic = SHARED_MAGIC;
	r->page.token = token;
	return remote_publish(r) && remote_write(r, remote_page_addr(r), &r->page.magic, sizeof(r->page.magic));
}

/*
 * What the process has there now. Its memory as we opened it would read on after an exec if a child shared it (vfork).
 */
static bool read_afresh(const struct remote *r, uint64_t addr, void *p, size_t n)
{
	char path[64];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", r->target.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ok = fd >= 0 && pread(fd, p, n, (off_t)addr) == (ssize_t)n && remote_read(r, addr, p, n);
	close_fd(fd);
	return ok;
}

/* Still the program that we know, with our page; asked while it is held. */
static bool remote_ours(const struct remote *r)
{
	struct shared_page now;

	return read_afresh(r, remote_page_addr(r), &now, offsetof(struct shared_page, npatches)) &&
	       now.magic == SHARED_MAGIC && now.token == r->page.token;
}

bool remote_same_code(const struct remote *r)
{
	static const uint8_t insn[2] = {0x0f, 0x05};
	uint8_t now[2];

	return read_afresh(r, r->target.calls.any, now, sizeof(now)) && !memcmp(now, insn, sizeof(insn));
}

/* ---- stop and go ---- */

int remote_hold(struct remote *r, struct err *err)
{
	int code;

	if (r->held)
		return 0;
	code = threads_stop(r->target.pid, &r->stopped, err);
	for (int i = 1; i < HOLD_TRIES && (code == -ETIMEDOUT || code == -EBUSY); i++) {
		usleep(HOLD_PAUSE_US);
		code = threads_stop(r->target.pid, &r->stopped, err);
	}
	if (code)
		return code;
	r->held = true;
	r->waited = false;
	r->held_since = clock_monotonic_ns();
	fault_slow("slow");
	return 0;
}

int remote_hold_retry(struct remote *r, struct err *err)
{
	for (int i = 0;; i++) {
		int code = remote_hold(r, err);

		if ((code != -ETIMEDOUT && code != -EBUSY) || i == HOLD_RETRIES)
			return code;
		usleep(HOLD_PAUSE_US);
	}
}

void remote_release(struct remote *r)
{
	if (!r->held)
		return;
	threads_resume(&r->stopped);
	r->held = false;
	r->held_ns += clock_monotonic_ns() - r->held_since;
	fault_slow("running");
}

int remote_gone(const struct remote *r, struct err *err)
{
	return err_set(err, -ESRCH, "process %d is gone, or runs another program now", r->target.pid);
}

int remote_open(const struct helper_target *t, struct remote *ret, struct err *err)
{
	struct remote r = {.target = *t, .shared = -1, .mem = -1};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", t->pid);
	r.mem = open(path, O_RDWR | O_CLOEXEC);
	if (r.mem < 0)
		return err_set(err, -errno,
			       "the memory of process %d cannot be opened (%s): %s", t->pid, strerror(errno),
			       caps_ptrace_advice("it needs the same user, or CAP_SYS_PTRACE"));
	*ret = r;
	return 0;
}

void remote_done(struct remote *r)
{
	remote_release(r);
	close_fd(r->mem);
	close_fd(r->shared);
	vec_done(&r->patches);
}

/* Lets the process run for a moment. Held again on success. */
static int run_briefly(struct remote *r, useconds_t us, struct err *err)
{
	int code;

	remote_release(r);
	usleep(us);
	code = remote_hold_retry(r, err);
	if (code)
		return code;
	return (r->page.magic ? remote_ours(r) : remote_same_code(r)) ? 0 : remote_gone(r, err);
}

/* ---- system calls ---- */

/* Until a thread can make a call without danger; it is made without one, too. */
static int wait_for_caller(struct remote *r, struct err *err)
{
	int code = 0;

	for (useconds_t i = 1; !r->waited && !threads_can_call(&r->stopped, &r->target.calls); i++) {
		code = r->stopped.at ? threads_run_others(&r->stopped, i * SAFE_PAUSE_US, err)
				     : run_briefly(r, i * SAFE_PAUSE_US, err);
		if (code)
			return code;
		r->waited = i == SAFE_TRIES;
	}
	return 0;
}

int remote_calls(struct remote *r, struct system_call *calls, size_t n, struct err *err)
{
	int code = wait_for_caller(r, err);

	if (code)
		return code;
	for (size_t i = 0; i < n; i++)
		if (fault_now("call"))
			calls[i].nr = -1;
	fault_die(r->target.pid);
	return threads_call(&r->stopped, &r->target.calls, calls, n, err);
}

struct system_call remote_unmap_call(uint64_t addr, uint64_t len)
{
	return (struct system_call){SYS_munmap, {addr, len}, 0};
}

void remote_unmap_calls(const struct shared_map *maps, size_t n, struct system_call *ret)
{
	for (size_t i = 0; i < n; i++)
		ret[n - 1 - i] = remote_unmap_call(maps[i].addr, maps[i].len);
}

/* ---- patches ---- */

/* Code as it is read: much at a time, since patches lie close together and the process waits. */
struct window {
	uint64_t at;
	size_t n;
	uint8_t bytes[16384];
};

static bool window_read(const struct remote *r, struct window *w, uint64_t addr, uint8_t *p, size_t n)
{
	if (addr < w->at || addr + n > w->at + w->n) {
		ssize_t got = pread(r->mem, w->bytes, sizeof(w->bytes), (off_t)addr);

		w->at = addr;
		w->n = got > 0 ? (size_t)got : 0;
	}
	if (n > w->n)
		return false;
	memcpy(p, w->bytes + (addr - w->at), n);
	return true;
}

static int by_address(const void *pa, const void *pb)
{
	const struct shared_patch *a = pa, *b = pb;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

void remote_sort(struct shared_patch *p, size_t n)
{
	if (n)
		qsort(p, n, sizeof(*p), by_address);
}

static int check_bytes(const struct remote *r, const struct shared_patch *p, size_t n, struct err *err)
{
	struct window w = {0};

	for (size_t i = 0; i < n; i++) {
		uint8_t now[SHARED_PATCH_MAX];

		if (p[i].n > SHARED_PATCH_MAX || !window_read(r, &w, p[i].addr, now, p[i].n))
			return err_set(err, -EFAULT, "the code of process %d at %#" PRIx64 " cannot be read",
				       r->target.pid, p[i].addr);
		if (memcmp(now, p[i].old, p[i].n))
			return err_set(err, -EBUSY,
				       "the code of process %d at %#" PRIx64
				       " is not that of its file: something else (a uprobe, a debugger) has changed it",
				       r->target.pid, p[i].addr);
	}
	return 0;
}

/*
 * Restores what is ours: what someone changed since is left alone. But a uprobe may have come over the first byte; it
 * puts back the byte of the file when it goes, so the others must be the file's by then.
 */
static void restore_bytes(const struct remote *r, const struct shared_patch *p, size_t n)
{
	const uint8_t trap = 0xcc;
	struct window w = {0};

	for (size_t i = 0; i < n; i++) {
		uint8_t now[SHARED_PATCH_MAX];
		size_t from;

		if (!p[i].n || p[i].n > SHARED_PATCH_MAX || !window_read(r, &w, p[i].addr, now, p[i].n))
			continue;
		from = now[0] == trap;
		if (!memcmp(now + from, p[i].new + from, p[i].n - from))
			write_code(r, p[i].addr + from, p[i].old + from, p[i].n - from);
	}
}

/* The list is in the process before the patches are. */
static bool publish_list(struct remote *r)
{
	size_t bytes = r->patches.len * sizeof(*r->patches.data);

	r->page.npatches = r->patches.len;
	if (bytes && !remote_write(r, remote_page_addr(r) + SHARED_PAGE, r->patches.data, bytes))
		return false;
	return remote_publish(r);
}

static int list_patches(struct remote *r, const struct shared_patch *p, size_t n, struct err *err)
{
	size_t before = r->patches.len;

	if (before + n > r->page.npatches_max)
		return err_set(err, -E2BIG,
			       "process %d would get %zu patches instead of the %" PRIu64 " that were announced",
			       r->target.pid, before + n, r->page.npatches_max);
	for (size_t i = 0; i < n; i++)
		vec_push(&r->patches, p[i]);
	return publish_list(r) ? 0 : remote_gone(r, err);
}

static int write_batch(struct remote *r, const struct shared_patch *p, size_t n, struct err *err)
{
	int code = check_bytes(r, p, n, err);

	if (code)
		return code;
	for (size_t i = 0; i < n; i++) {
		code = write_code(r, p[i].addr, p[i].new, p[i].n);
		if (i == n / 2)
			fault_slow("slow");
		if (code)
			return err_set(err, code, "the code of process %d cannot be written (%s)", r->target.pid,
				       strerror(-code));
	}
	return 0;
}

/* On failure some are in place, and listed. A program that has not begun yet waits for all of them. */
static int write_patches(struct remote *r, const struct shared_patch *p, size_t n, struct err *err)
{
	int code = list_patches(r, p, n, err);

	for (size_t i = 0; i < n && !code; i += BATCH) {
		if (i && !r->at_main)
			code = run_briefly(r, BATCH_PAUSE_US, err);
		if (!code)
			code = write_batch(r, p + i, MIN(n - i, (size_t)BATCH), err);
	}
	return code;
}

int remote_patch(struct remote *r, const struct shared_patch *patches, size_t n, const uint64_t handlers[2],
		 uint64_t *ret_pause_ns, struct err *err)
{
	int code = remote_hold(r, err);

	if (!code && !remote_ours(r))
		code = remote_gone(r, err);
	if (!code)
		code = check_bytes(r, patches, n, err);
	if (!code) /* before the code that needs them */
		code = remote_install_handlers(r, handlers, err);
	if (!code)
		code = write_patches(r, patches, n, err);
	remote_release(r);
	*ret_pause_ns = r->held_ns;
	return code;
}

static bool listed(const struct shared_patch *p, size_t n, uint64_t addr)
{
	const struct shared_patch key = {.addr = addr};

	return n && bsearch(&key, p, n, sizeof(*p), by_address);
}

/* All but the last batch, which the caller restores in one stop with its next step. Held on success. */
static int restore_most(struct remote *r, const struct shared_patch *p, size_t n, size_t *ret_done, struct err *err)
{
	int code = 0;
	size_t i;

	for (i = 0; i + BATCH < n && !code; i += BATCH) {
		restore_bytes(r, p + i, BATCH);
		code = run_briefly(r, BATCH_PAUSE_US, err);
	}
	*ret_done = i;
	return code;
}

int remote_unpatch(struct remote *r, const struct shared_patch *patches, size_t n, struct err *err)
{
	size_t kept = 0, done = 0;
	int code = remote_hold_retry(r, err);

	if (!code && !remote_ours(r))
		code = remote_gone(r, err);
	if (!code)
		code = restore_most(r, patches, n, &done, err);
	if (!code) {
		restore_bytes(r, patches + done, n - done);
		for (size_t i = 0; i < r->patches.len; i++)
			if (!listed(patches, n, r->patches.data[i].addr))
				r->patches.data[kept++] = r->patches.data[i];
		r->patches.len = kept;
		publish_list(r);
	}
	remote_release(r);
	return code;
}

/* ---- leaving ---- */

static bool in_our_code(const struct remote *r, const struct tracee *t)
{
	struct user_regs_struct regs;

	if (t->gone)
		return false;
	if (thread_registers(t, &regs) < 0)
		return true;
	for (size_t i = 0; i < r->page.nmaps; i++)
		if (regs.rip - r->page.maps[i].addr < r->page.maps[i].len)
			return true;
	return false;
}

/*
 * A thread that is in our code, or may be: in a signal handler that interrupted it. Go's handlers block all signals
 * while they run, and its threads block SIGURG at no other time for long.
 */
static bool may_be_inside(const struct remote *r, const struct tracee *t)
{
	uint64_t mask;

	if (t->gone)
		return false;
	return in_our_code(r, t) || thread_signal_mask(t, &mask) < 0 || (mask >> (SIGURG - 1) & 1);
}

typedef VEC(pid_t) tid_vec;

/*
 * Nobody can enter once the bytes are restored, so threads that were seen outside are not looked at again. Returns
 * whether one of them is in our code itself.
 */
static bool update_inside(const struct remote *r, tid_vec *inside, bool first)
{
	bool in_code = false;
	tid_vec now = {0};

	for (size_t i = 0; i < r->stopped.threads.len; i++) {
		const struct tracee *t = &r->stopped.threads.data[i];
		bool known = first;

		for (size_t k = 0; k < inside->len; k++)
			known |= inside->data[k] == t->tid;
		if (!known || !may_be_inside(r, t))
			continue;
		vec_push(&now, t->tid);
		in_code |= in_our_code(r, t);
	}
	vec_done(inside);
	*inside = now;
	return in_code;
}

/* Until all threads are outside. */
struct patience {
	useconds_t pause; /* the last one */
	uint64_t ran_us;  /* altogether */
};

/* Held again on success. */
static int run_longer(struct remote *r, struct patience *p, struct err *err)
{
	p->pause = p->pause ? MIN(2 * p->pause, (useconds_t)LEAVE_PAUSE_MAX_US) : LEAVE_PAUSE_US;
	p->ran_us += p->pause;
	return run_briefly(r, p->pause, err);
}

/* ---- what is lent to calls (shared.h) ---- */

/* Whether any call has not given back what it got. Unreadable: nothing is there. */
static bool any_lent(const struct remote *r)
{
	struct shared_loans l;

	if (!r->page.loans || !remote_read(r, r->page.loans, &l, sizeof(l)))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(l.owner); i++)
		if (l.owner[i])
			return true;
	return false;
}

/* Nothing more is lent; what is comes back, while the patches that see to it are still there. Held on success. */
static int end_lending(struct remote *r, struct err *err)
{
	const uint64_t none = 0;
	struct patience p = {0};
	int code = 0;

	if (r->page.loans)
		remote_write(r, r->page.loans, &none, sizeof(none));
	while (!code && any_lent(r) && p.ran_us < LEAVE_LENT_US)
		code = run_longer(r, &p, err);
	return code;
}

static int unmap_all(struct remote *r, struct err *err)
{
	struct system_call calls[SHARED_MAPS_MAX];
	const bool lent = any_lent(r);
	size_t n = 0;
	int code;

	for (size_t i = 0; i < r->page.nmaps; i++)
		if (!lent || r->page.maps[i].addr != r->page.loans)
			r->page.maps[n++] = r->page.maps[i];
	remote_unmap_calls(r->page.maps, n, calls);
	code = remote_calls(r, calls, n, err);
	if (code || !lent)
		return code;
	return err_set(err, -EBUSY,
		       "a call in process %d has not returned since its message got a trace context: the memory of "
		       "that (4 MB) stays mapped, unused", r->target.pid);
}

static int stays_mapped(const struct remote *r, pid_t tid, struct err *err)
{
	return err_set(err, -EBUSY,
		       "thread %d of process %d could not be seen outside of the probes' code, which stays mapped, "
		       "unused",
		       tid, r->target.pid);
}

/* Held on success. */
static int wait_outside(struct remote *r, struct err *err)
{
	struct patience p = {0};
	tid_vec inside = {0};
	bool in_code = update_inside(r, &inside, true);
	int code = 0;

	while (inside.len && !code) {
		if (p.ran_us >= (in_code ? LEAVE_RUN_US : LEAVE_BLOCKED_US)) {
			code = stays_mapped(r, inside.data[0], err);
			break;
		}
		code = run_longer(r, &p, err);
		if (!code)
			in_code = update_inside(r, &inside, false);
	}
	vec_done(&inside);
	return code;
}

/*
 * Until the program had its handlers back, any thread could come into ours by a fault of its own, also one that was
 * outside before. It blocks all signals there, so its program counter tells. Held on success.
 */
static int wait_out_of_handlers(struct remote *r, struct err *err)
{
	struct patience p = {0};

	for (;;) {
		const struct tracee *inside = NULL;
		int code;

		for (size_t k = 0; k < r->stopped.threads.len && !inside; k++)
			if (in_our_code(r, &r->stopped.threads.data[k]))
				inside = &r->stopped.threads.data[k];
		if (!inside)
			return 0;
		if (p.ran_us >= LEAVE_RUN_US)
			return stays_mapped(r, inside->tid, err);
		code = run_longer(r, &p, err);
		if (code)
			return code;
	}
}

int remote_leave(struct remote *r, struct err *err)
{
	size_t done = 0;
	int code;

	if (!r->page.nmaps)
		return 0;
	remote_sort(r->patches.data, r->patches.len);
	code = remote_hold_retry(r, err);
	if (!code && !remote_ours(r))
		code = remote_gone(r, err);
	if (!code)
		code = end_lending(r, err);
	if (!code)
		code = restore_most(r, r->patches.data, r->patches.len, &done, err);
	if (!code) {
		restore_bytes(r, r->patches.data + done, r->patches.len - done);
		r->patches.len = 0;
		publish_list(r);
		code = wait_outside(r, err);
	}
	if (!code)
		code = remote_remove_handlers(r, err);
	if (!code)
		code = wait_out_of_handlers(r, err);
	if (!code)
		code = unmap_all(r, err);
	remote_release(r);
	return code == -ESRCH ? 0 : code;
}
