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
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

#define LEAVE_TRIES 200
#define LEAVE_PAUSE_US 3000
#define BEAT_WAIT_US 250000
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static const int fault_signals[2] = {SIGSEGV, SIGBUS};

/* ---- memory ---- */

static bool read_mem(const struct remote *r, uint64_t addr, void *p, size_t n)
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
		if (!read_mem(r, addr & ~7ull, word, sizeof(word)))
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
	if (pwrite(r->mem, p, n, (off_t)addr) == (ssize_t)n)
		return 0;
	return poke(r, addr, p, n);
}

static bool write_mem(const struct remote *r, uint64_t addr, const void *p, size_t n)
{
	return pwrite(r->mem, p, n, (off_t)addr) == (ssize_t)n;
}

static uint64_t own_addr(const struct remote *r)
{
	return r->page.maps[0].addr;
}

/* Puts page and list into the process; beat is left alone. */
static bool publish(const struct remote *r)
{
	const size_t from = offsetof(struct remote_page, npatches);

	return write_mem(r, own_addr(r) + from, (const char *)&r->page + from, sizeof(r->page) - from);
}

/* Whether it is still the program we know. */
static bool same_program(const struct remote *r)
{
	uint64_t magic;

	return read_mem(r, own_addr(r), &magic, sizeof(magic)) && magic == REMOTE_MAGIC;
}

/* ---- stop and go ---- */

static int hold(struct remote *r, struct err *err)
{
	int code;

	if (r->held)
		return 0;
	code = threads_stop(r->target.pid, &r->stopped, err);
	if (code)
		return code;
	r->held = true;
	r->held_since = clock_monotonic_ns();
	return 0;
}

static void release(struct remote *r)
{
	if (!r->held)
		return;
	threads_resume(&r->stopped);
	r->held = false;
	r->held_ns += clock_monotonic_ns() - r->held_since;
}

static int gone(const struct remote *r, struct err *err)
{
	return err_set(err, -ESRCH, "process %d is gone, or runs another program now", r->target.pid);
}

/* A field of /proc/PID/status, as text. */
static bool status_field(int pid, const char *name, char *ret, size_t size)
{
	_cleanup_(buf_done) struct buf b = {0};
	char path[64];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
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

static int refuse_seccomp(int pid, struct err *err)
{
	char mode[16] = "0";

	if (!status_field(pid, "\nSeccomp:", mode, sizeof(mode)) || !strcmp(mode, "0"))
		return 0;
	return err_set(err, -ENOTSUP,
		       "process %d runs under a seccomp filter, which might end it for a system call that earshot has "
		       "it make; use --planter uprobe",
		       pid);
}

int remote_open(const struct hand_target *t, struct remote *ret, struct err *err)
{
	struct remote r = {.target = *t, .shared = -1, .mem = -1};
	char path[64];
	int code = refuse_seccomp(t->pid, err);

	if (code)
		return code;
	snprintf(path, sizeof(path), "/proc/%d/mem", t->pid);
	r.mem = open(path, O_RDWR | O_CLOEXEC);
	if (r.mem < 0)
		return err_set(err, -errno,
			       "the memory of process %d cannot be opened (%s): it needs the same user, or "
			       "CAP_SYS_PTRACE",
			       t->pid, strerror(errno));
	*ret = r;
	return 0;
}

void remote_done(struct remote *r)
{
	release(r);
	close_fd(r->mem);
	close_fd(r->shared);
	vec_done(&r->patches);
}

/* ---- mapping ---- */

static int make_calls(struct remote *r, struct call *calls, size_t n, struct err *err)
{
	return threads_call(&r->stopped, r->target.syscall_insn, calls, n, err);
}

static struct call unmap_call(uint64_t addr, uint64_t len)
{
	return (struct call){SYS_munmap, {addr, len}, 0};
}

/* The descriptor is closed in the process again; ours is r->shared. */
static int make_shared(struct remote *r, uint64_t bytes, int *ret_fd, struct err *err)
{
	const uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS;
	struct call page = {SYS_mmap, {0, HAND_PAGE, PROT_READ | PROT_WRITE, flags, (uint64_t)-1, 0}, 0};
	struct call calls[2] = {{SYS_memfd_create, {0, MFD_CLOEXEC}, 0}};
	char path[64];
	int code = make_calls(r, &page, 1, err);

	if (code)
		return code;
	if (page.result < 0 && page.result > -4096)
		return err_set(err, (int)page.result, "process %d cannot map memory: %s", r->target.pid,
			       strerror((int)-page.result));
	calls[0].args[0] = (uint64_t)page.result;
	calls[1] = unmap_call((uint64_t)page.result, HAND_PAGE);
	if (!write_mem(r, (uint64_t)page.result, REMOTE_NAME, sizeof(REMOTE_NAME)))
		calls[0].args[0] = 0;
	code = make_calls(r, calls, 2, err);
	if (code)
		return code;
	*ret_fd = (int)calls[0].result;
	if (*ret_fd < 0)
		return err_set(err, *ret_fd, "process %d cannot make shared memory (memfd_create: %s)", r->target.pid,
			       strerror(-*ret_fd));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", r->target.pid, *ret_fd);
	r->shared = open(path, O_RDWR | O_CLOEXEC);
	if (r->shared >= 0 && ftruncate(r->shared, (off_t)bytes) == 0)
		return 0;
	code = err_set(err, -errno, "the shared memory of process %d cannot be opened: %s", r->target.pid,
		       strerror(errno));
	calls[0] = (struct call){SYS_close, {(uint64_t)*ret_fd}, 0};
	make_calls(r, calls, 1, NULL);
	return code;
}

/* -EEXIST when an address is taken; those that were mapped are unmapped again. */
static int map_parts(struct remote *r, const struct hand_map *maps, size_t n, int fd, struct err *err)
{
	struct call calls[HAND_MAPS_MAX + 1];
	int failed = 0, code;

	for (size_t i = 0; i < n; i++)
		calls[i] = (struct call){SYS_mmap,
					 {maps[i].addr, maps[i].len, maps[i].prot, MAP_SHARED | MAP_FIXED_NOREPLACE,
					  (uint64_t)fd, maps[i].off},
					 0};
	calls[n] = (struct call){SYS_close, {(uint64_t)fd}, 0};
	code = make_calls(r, calls, n + 1, err);
	if (code)
		return code;
	for (size_t i = 0; i < n; i++) {
		int64_t at = calls[i].result;
		bool mapped = at >= 0 || at < -4096;

		if ((uint64_t)at != maps[i].addr)
			failed = mapped ? -EEXIST : (int)at;
		calls[i] = mapped ? unmap_call((uint64_t)at, maps[i].len) : (struct call){SYS_getpid, {0}, 0};
	}
	if (!failed)
		return 0;
	code = make_calls(r, calls, n, err);
	return code ? code
		    : err_set(err, failed, "memory for the probes cannot be mapped in process %d: %s", r->target.pid,
			      strerror(-failed));
}

static int read_actions(struct remote *r, struct remote_action ret[2], struct err *err)
{
	const uint64_t scratch = own_addr(r) + offsetof(struct remote_page, scratch);

	for (int i = 0; i < 2; i++) {
		struct call c = {SYS_rt_sigaction, {(uint64_t)fault_signals[i], 0, scratch, 8}, 0};
		int code = make_calls(r, &c, 1, err);

		if (code)
			return code;
		if (c.result < 0 || !read_mem(r, scratch, &ret[i], sizeof(ret[i])))
			return err_set(err, -EIO, "the signal handlers of process %d cannot be read", r->target.pid);
	}
	return 0;
}

static int check_actions(const struct remote *r, struct err *err)
{
	for (int i = 0; i < 2; i++)
		if (r->page.before[i].handler < r->target.text || r->page.before[i].handler >= r->target.etext)
			return err_set(err, -ENOTSUP,
				       "process %d has a handler of SIG%s that is not the Go runtime's, so that reading its "
				       "memory from inside is not safe",
				       r->target.pid, i ? "BUS" : "SEGV");
	return 0;
}

/* The runtime installs its handlers early; before that, memory cannot be read safely from inside. */
static int to_main(struct remote *r, struct err *err)
{
	char caught[32] = "0";

	if (status_field(r->target.pid, "\nSigCgt:", caught, sizeof(caught)) &&
	    strtoull(caught, NULL, 16) >> (SIGSEGV - 1) & 1)
		return 0;
	if (!r->target.main_entry)
		return err_set(err, -ENOTSUP, "process %d is just starting and has no main.main to wait for", r->target.pid);
	r->at_main = true;
	return threads_run_to(&r->stopped, r->mem, r->target.main_entry, err);
}

int remote_map(struct remote *r, const struct hand_map *maps, size_t n, uint64_t bytes, struct err *err)
{
	const uint64_t magic = REMOTE_MAGIC;
	int fd, code = hold(r, err);

	if (!code)
		code = to_main(r, err);
	if (!code)
		code = make_shared(r, bytes, &fd, err);
	if (!code)
		code = map_parts(r, maps, n, fd, err);
	if (code)
		return code;
	r->page.nmaps = n;
	memcpy(r->page.maps, maps, n * sizeof(*maps));
	if (!publish(r) || !write_mem(r, own_addr(r), &magic, sizeof(magic)))
		return gone(r, err);
	code = read_actions(r, r->page.before, err);
	if (!code)
		code = check_actions(r, err);
	if (!r->at_main) /* else nothing may be missed from here on */
		release(r);
	return code;
}

/* ---- signal handlers ---- */

static int set_action(struct remote *r, int i, const struct remote_action *a, struct err *err)
{
	const uint64_t scratch = own_addr(r) + offsetof(struct remote_page, scratch);
	struct call c = {SYS_rt_sigaction, {(uint64_t)fault_signals[i], scratch, 0, 8}, 0};
	int code;

	if (!write_mem(r, scratch, a, sizeof(*a)))
		return gone(r, err);
	code = make_calls(r, &c, 1, err);
	if (!code && c.result < 0)
		code = err_set(err, (int)c.result, "a signal handler of process %d cannot be set: %s", r->target.pid,
			       strerror((int)-c.result));
	return code;
}

static int install_handlers(struct remote *r, const uint64_t handlers[2], struct err *err)
{
	for (int i = 0; i < 2; i++) {
		struct remote_action a = r->page.before[i];
		int code;

		if (!handlers[i] || r->page.handlers[i])
			continue;
		a.handler = r->page.handlers[i] = handlers[i];
		if (!publish(r))
			return gone(r, err);
		code = set_action(r, i, &a, err);
		if (code)
			return code;
	}
	return 0;
}

/* -EBUSY when someone has put another handler over ours, which may still call it. */
static int remove_handlers(struct remote *r, struct err *err)
{
	struct remote_action now[2];
	int code = read_actions(r, now, err);

	for (int i = 0; i < 2 && !code; i++) {
		if (!r->page.handlers[i] || now[i].handler == r->page.before[i].handler)
			continue;
		if (now[i].handler != r->page.handlers[i])
			code = err_set(err, -EBUSY,
				       "process %d has changed a signal handler meanwhile, so that earshot's stays mapped "
				       "behind it",
				       r->target.pid);
		else
			code = set_action(r, i, &r->page.before[i], err);
	}
	return code;
}

/* ---- patches ---- */

static int check_bytes(const struct remote *r, const struct hand_patch *p, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t now[HAND_PATCH_MAX];

		if (p[i].n > HAND_PATCH_MAX || !read_mem(r, p[i].addr, now, p[i].n))
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
 * Restores what is ours: what someone changed since is left alone. But a uprobe may have come over the first byte; it puts
 * back the byte of the file when it goes, so the others must be the file's by then.
 */
static void restore_bytes(const struct remote *r, const struct hand_patch *p, size_t n)
{
	const uint8_t trap = 0xcc;

	for (size_t i = 0; i < n; i++) {
		uint8_t now[HAND_PATCH_MAX];
		size_t from;

		if (!p[i].n || p[i].n > HAND_PATCH_MAX || !read_mem(r, p[i].addr, now, p[i].n))
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
	return (!bytes || write_mem(r, own_addr(r) + HAND_PAGE, r->patches.data, bytes)) && publish(r);
}

static int write_patches(struct remote *r, const struct hand_patch *p, size_t n, struct err *err)
{
	size_t before = r->patches.len;

	if (before + n > HAND_PATCHES_MAX)
		return err_set(err, -E2BIG, "process %d would get %zu patches; %d is the limit", r->target.pid, before + n,
			       HAND_PATCHES_MAX);
	for (size_t i = 0; i < n; i++)
		vec_push(&r->patches, p[i]);
	if (!publish_list(r))
		return gone(r, err);
	for (size_t i = 0; i < n; i++) {
		int code = write_code(r, p[i].addr, p[i].new, p[i].n);

		if (!code)
			continue;
		restore_bytes(r, p, i);
		r->patches.len = before;
		publish_list(r);
		return err_set(err, code, "the code of process %d cannot be written (%s)", r->target.pid, strerror(-code));
	}
	return 0;
}

int remote_patch(struct remote *r, const struct hand_patch *patches, size_t n, const uint64_t handlers[2],
		 uint64_t *ret_pause_ns, struct err *err)
{
	int code = hold(r, err);

	if (!code && !same_program(r))
		code = gone(r, err);
	if (!code)
		code = check_bytes(r, patches, n, err);
	if (!code)
		code = install_handlers(r, handlers, err);
	if (!code)
		code = write_patches(r, patches, n, err);
	release(r);
	*ret_pause_ns = r->held_ns;
	return code;
}

static bool listed(const struct hand_patch *p, size_t n, uint64_t addr)
{
	for (size_t i = 0; i < n; i++)
		if (p[i].addr == addr)
			return true;
	return false;
}

int remote_unpatch(struct remote *r, const struct hand_patch *patches, size_t n, struct err *err)
{
	size_t kept = 0;
	int code = hold(r, err);

	if (!code && !same_program(r))
		code = gone(r, err);
	if (!code) {
		restore_bytes(r, patches, n);
		for (size_t i = 0; i < r->patches.len; i++)
			if (!listed(patches, n, r->patches.data[i].addr))
				r->patches.data[kept++] = r->patches.data[i];
		r->patches.len = kept;
		publish_list(r);
	}
	release(r);
	return code;
}

/* ---- leaving ---- */

/*
 * A thread that is in our code, or may be: in a signal handler that interrupted it. Go's handlers block all signals
 * while they run, and its threads block SIGURG at no other time for long.
 */
static bool may_be_inside(const struct remote *r, const struct tracee *t)
{
	struct user_regs_struct regs;
	uint64_t mask;

	if (t->gone)
		return false;
	if (thread_registers(t, &regs) < 0 || thread_signal_mask(t, &mask) < 0)
		return true;
	for (size_t i = 0; i < r->page.nmaps; i++)
		if (regs.rip - r->page.maps[i].addr < r->page.maps[i].len)
			return true;
	return mask >> (SIGURG - 1) & 1;
}

typedef VEC(pid_t) tid_vec;

/* Nobody can enter once the bytes are restored, so those seen outside are done with. */
static void still_inside(const struct remote *r, tid_vec *inside, bool first)
{
	tid_vec now = {0};

	for (size_t i = 0; i < r->stopped.threads.len; i++) {
		const struct tracee *t = &r->stopped.threads.data[i];
		bool known = first;

		for (size_t k = 0; k < inside->len; k++)
			known |= inside->data[k] == t->tid;
		if (known && may_be_inside(r, t))
			vec_push(&now, t->tid);
	}
	vec_done(inside);
	*inside = now;
}

static int unmap_all(struct remote *r, struct err *err)
{
	struct call calls[HAND_MAPS_MAX];

	for (size_t i = 0; i < r->page.nmaps; i++)
		calls[i] = unmap_call(r->page.maps[i].addr, r->page.maps[i].len);
	return make_calls(r, calls, r->page.nmaps, err);
}

/* Held on success. */
static int wait_outside(struct remote *r, struct err *err)
{
	tid_vec inside = {0};
	int code = 0;

	for (int i = 0; i < LEAVE_TRIES && !code; i++) {
		still_inside(r, &inside, i == 0);
		if (!inside.len)
			return 0;
		release(r);
		usleep(LEAVE_PAUSE_US);
		code = hold(r, err);
		if (!code && !same_program(r))
			code = gone(r, err);
	}
	if (!code)
		code = err_set(err, -EBUSY,
			       "thread %d of process %d could not be seen outside of the probes' code, which stays mapped, "
			       "unused",
			       inside.data[0], r->target.pid);
	vec_done(&inside);
	return code;
}

int remote_leave(struct remote *r, struct err *err)
{
	int code = hold(r, err);

	if (!code && (!r->page.nmaps || !same_program(r)))
		code = r->page.nmaps ? gone(r, err) : -ENOENT;
	if (!code) {
		restore_bytes(r, r->patches.data, r->patches.len);
		r->patches.len = 0;
		publish_list(r);
		code = wait_outside(r, err);
	}
	if (!code)
		code = remove_handlers(r, err);
	if (!code)
		code = unmap_all(r, err);
	release(r);
	return code == -ENOENT || code == -ESRCH ? 0 : code;
}

/* ---- what was left ---- */

static uint64_t find_left(int pid)
{
	_cleanup_(buf_done) struct buf maps = {0};
	char path[64], *save = NULL;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	if (file_read(path, &maps, 64u << 20) < 0 || !maps.data)
		return 0;
	for (char *line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t start, off;

		if (strstr(line, "/memfd:" REMOTE_NAME) &&
		    sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64, &start, &off) == 2 && !off)
			return start;
	}
	return 0;
}

static int check_left(struct remote *r, uint64_t at, struct err *err)
{
	uint64_t beat;

	if (r->page.magic != REMOTE_MAGIC || !r->page.nmaps || r->page.nmaps > HAND_MAPS_MAX ||
	    r->page.npatches > HAND_PATCHES_MAX || r->page.maps[0].addr != at)
		return err_set(err, -EBUSY, "process %d has memory of another version of earshot mapped", r->target.pid);
	usleep(BEAT_WAIT_US);
	if (read_mem(r, at + HAND_BEAT_OFF, &beat, sizeof(beat)) && beat != r->page.beat)
		return err_set(err, -EBUSY,
			       "process %d is observed from inside by another earshot, and only one can; stop that one, or "
			       "use --planter uprobe",
			       r->target.pid);
	for (uint64_t i = 0; i < r->page.npatches; i++)
		read_mem(r, at + HAND_PAGE + i * sizeof(struct hand_patch), vec_add(&r->patches),
			 sizeof(struct hand_patch));
	return 0;
}

int remote_adopt(const struct hand_target *t, struct remote *ret, bool *ret_found, struct err *err)
{
	uint64_t at = find_left(t->pid);
	struct remote r;
	int code;

	*ret_found = false;
	if (!at)
		return 0;
	code = remote_open(t, &r, err);
	if (code)
		return code;
	if (!read_mem(&r, at, &r.page, sizeof(r.page)))
		code = gone(&r, err);
	if (!code)
		code = check_left(&r, at, err);
	if (code) {
		remote_done(&r);
		return code;
	}
	*ret = r;
	*ret_found = true;
	return 0;
}
