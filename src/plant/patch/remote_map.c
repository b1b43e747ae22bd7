/* The beginning in a process: shared memory, the maps, and the handlers of memory faults. */
#include "plant/patch/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plant/patch/fault.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static const int fault_signals[2] = {SIGSEGV, SIGBUS};

/* The descriptor is closed in the process again; ours is r->shared. */
static int make_shared(struct remote *r, uint64_t bytes, int *ret_fd, struct err *err)
{
	const uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS;
	struct system_call page = {SYS_mmap, {0, SHARED_PAGE, PROT_READ | PROT_WRITE, flags, (uint64_t)-1, 0}, 0};
	struct system_call calls[2] = {{SYS_memfd_create, {0, MFD_CLOEXEC | MFD_ALLOW_SEALING}, 0}};
	char path[64];
	int code = remote_calls(r, &page, 1, err);

	if (code)
		return code;
	if (page.result < 0 && page.result > -4096)
		return err_set(err, (int)page.result, "process %d cannot map memory: %s", r->target.pid,
			       strerror((int)-page.result));
	calls[0].args[0] = (uint64_t)page.result;
	calls[1] = remote_unmap_call((uint64_t)page.result, SHARED_PAGE);
	if (!remote_write(r, (uint64_t)page.result, SHARED_NAME, sizeof(SHARED_NAME)))
		calls[0].args[0] = 0;
	code = remote_calls(r, calls, 2, err);
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
	calls[0] = (struct system_call){SYS_close, {(uint64_t)*ret_fd}, 0};
	remote_calls(r, calls, 1, NULL);
	return code;
}

static struct system_call map_call(const struct shared_map *m, int fd)
{
	return (struct system_call){
		SYS_mmap, {m->addr, m->len, m->prot, MAP_SHARED | MAP_FIXED_NOREPLACE, (uint64_t)fd, m->off}, 0};
}

/* -EEXIST when an address is taken; those that were mapped are unmapped again. */
static int map_parts(struct remote *r, const struct shared_map *maps, size_t n, int fd, struct err *err)
{
	struct system_call calls[SHARED_MAPS_MAX + 1];
	struct shared_map mapped[SHARED_MAPS_MAX];
	size_t nmapped = 0;
	int failed = 0, code;

	for (size_t i = 0; i < n; i++)
		calls[i] = map_call(&maps[i], fd);
	calls[n] = (struct system_call){SYS_close, {(uint64_t)fd}, 0};
	code = remote_calls(r, calls, n + 1, err);
	if (code)
		return code;
	for (size_t i = 0; i < n; i++) {
		int64_t at = calls[i].result;
		bool is_mapped = at >= 0 || at < -4096;

		if ((uint64_t)at != maps[i].addr)
			failed = is_mapped ? -EEXIST : (int)at;
		if (is_mapped)
			mapped[nmapped++] = (struct shared_map){.addr = (uint64_t)at, .len = maps[i].len};
	}
	if (!failed)
		return 0;
	remote_unmap_calls(mapped, nmapped, calls);
	code = remote_calls(r, calls, nmapped, err);
	return code ? code
		    : err_set(err, failed, "memory for the probes cannot be mapped in process %d: %s", r->target.pid,
			      strerror(-failed));
}

static int read_actions(struct remote *r, struct shared_action ret[2], struct err *err)
{
	const uint64_t scratch = remote_page_addr(r) + offsetof(struct shared_page, scratch);

	for (int i = 0; i < 2; i++) {
		struct system_call c = {SYS_rt_sigaction, {(uint64_t)fault_signals[i], 0, scratch, 8}, 0};
		int code = remote_calls(r, &c, 1, err);

		if (code)
			return code;
		if (c.result < 0 || !remote_read(r, scratch, &ret[i], sizeof(ret[i])))
			return err_set(err, -EIO, "the signal handlers of process %d cannot be read", r->target.pid);
	}
	return 0;
}

static int check_actions(const struct remote *r, struct err *err)
{
	for (int i = 0; i < 2; i++)
		if (r->page.before[i].handler < r->target.text || r->page.before[i].handler >= r->target.etext)
			return err_set(err, -ENOTSUP,
				       "process %d has a handler of SIG%s that is not the Go runtime's, so that "
				       "reading its memory from inside is not safe",
				       r->target.pid, i ? "BUS" : "SEGV");
	return 0;
}

/* The runtime installs its handlers early; before that, memory cannot be read safely from inside. */
static int run_to_main(struct remote *r, struct err *err)
{
	char caught[32] = "0";

	if (thread_status(r->target.pid, "\nSigCgt:", caught, sizeof(caught)) &&
	    strtoull(caught, NULL, 16) >> (SIGSEGV - 1) & 1)
		return 0;
	if (!r->target.main_entry)
		return err_set(err, -ENOTSUP, "process %d is just starting and has no main.main to wait for",
			       r->target.pid);
	r->at_main = true;
	return threads_run_to(&r->stopped, r->mem, r->target.main_entry, err);
}

static int set_fork_guard(struct remote *r, struct err *err)
{
	const uint64_t at = r->page.maps[0].addr, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, inside = 1;
	struct system_call calls[] = {
		{SYS_mmap, {at, SHARED_PAGE, PROT_READ | PROT_WRITE, flags, (uint64_t)-1, 0}, 0},
		{SYS_madvise, {at, SHARED_PAGE, MADV_WIPEONFORK}, 0}};
	int code = remote_calls(r, calls, ARRAY_SIZE(calls), err);

	for (size_t i = 0; i < ARRAY_SIZE(calls) && !code; i++)
		if (calls[i].result != (i ? 0 : (int64_t)at))
			code = err_set(err, calls[i].result < 0 ? (int)calls[i].result : -EIO,
				       "process %d cannot keep its children apart from the probes (%s: %s)",
				       r->target.pid, i ? "madvise" : "mmap", strerror((int)-calls[i].result));
	if (!code && !remote_write(r, at, &inside, sizeof(inside)))
		code = remote_gone(r, err);
	return code;
}

/* A core of the program would have all that is ours, and to read what does not exist yet makes it. */
static int leave_out_of_cores(struct remote *r, struct err *err)
{
	struct system_call calls[SHARED_MAPS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < r->page.nmaps; i++)
		if (r->page.maps[i].prot & PROT_WRITE)
			calls[n++] = (struct system_call){
				SYS_madvise, {r->page.maps[i].addr, r->page.maps[i].len, MADV_DONTDUMP}, 0};
	return remote_calls(r, calls, n, err);
}

/*
 * What is written to exists: there is no signal for want of memory later, in the middle of a function. Nor
 * can it shrink.
 */
static int allocate(struct remote *r, uint64_t bytes, struct err *err)
{
	int code = fault_now("allocate") ? ENOSPC : posix_fallocate(r->shared, 0, (off_t)bytes);

	if (code)
		return err_set(err, -code, "there is no memory for the rings (%" PRIu64 " MB): %s", bytes >> 20,
			       strerror(code));
	fcntl(r->shared, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return 0;
}

static int claim(struct remote *r, const struct helper_memory *m, struct err *err)
{
	r->page.nmaps = m->nmaps;
	r->page.npatches_max = m->npatches;
	r->page.loans = m->loans;
	memcpy(r->page.maps, m->maps, m->nmaps * sizeof(*m->maps));
	return remote_claim(r) ? 0 : remote_gone(r, err);
}

int remote_map(struct remote *r, const struct helper_memory *m, struct err *err)
{
	int fd, code = remote_hold(r, err);

	if (!code && !remote_same_code(r))
		code = remote_gone(r, err);
	if (!code)
		code = run_to_main(r, err);
	if (!code)
		code = make_shared(r, m->bytes, &fd, err);
	if (!code)
		code = map_parts(r, m->maps, m->nmaps, fd, err);
	if (!code)
		code = claim(r, m, err);
	if (!code)
		code = set_fork_guard(r, err);
	if (!code)
		code = leave_out_of_cores(r, err);
	if (!code)
		code = read_actions(r, r->page.before, err);
	if (!code)
		code = check_actions(r, err);
	if (!r->at_main) /* else nothing may be missed from here on */
		remote_release(r);
	return code ? code : allocate(r, m->existing, err);
}

/* ---- signal handlers ---- */

static int set_action(struct remote *r, int i, const struct shared_action *a, struct err *err)
{
	const uint64_t scratch = remote_page_addr(r) + offsetof(struct shared_page, scratch);
	struct system_call c = {SYS_rt_sigaction, {(uint64_t)fault_signals[i], scratch, 0, 8}, 0};
	int code;

	if (!remote_write(r, scratch, a, sizeof(*a)))
		return remote_gone(r, err);
	code = remote_calls(r, &c, 1, err);
	if (!code && c.result < 0)
		code = err_set(err, (int)c.result, "a signal handler of process %d cannot be set: %s", r->target.pid,
			       strerror((int)-c.result));
	return code;
}

int remote_install_handlers(struct remote *r, const uint64_t handlers[2], struct err *err)
{
	for (int i = 0; i < 2; i++) {
		struct shared_action a = r->page.before[i];
		int code;

		if (!handlers[i] || r->page.handlers[i])
			continue;
		a.handler = r->page.handlers[i] = handlers[i];
		if (!remote_publish(r))
			return remote_gone(r, err);
		code = set_action(r, i, &a, err);
		if (code)
			return code;
	}
	return 0;
}

/* -EBUSY when someone has put another handler over ours, which may still call it. */
int remote_remove_handlers(struct remote *r, struct err *err)
{
	struct shared_action now[2];
	int code = read_actions(r, now, err);

	for (int i = 0; i < 2 && !code; i++) {
		if (!r->page.handlers[i] || now[i].handler == r->page.before[i].handler)
			continue;
		if (now[i].handler != r->page.handlers[i])
			code = err_set(err, -EBUSY,
				       "process %d has replaced earshot's signal handler, which the new one may still "
				       "call: its code stays mapped",
				       r->target.pid);
		else
			code = set_action(r, i, &r->page.before[i], err);
	}
	return code;
}
