#include "plant/uprobe/bpf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>

#include "base/caps.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/vec.h"
#include "plant/uprobe/returns.h"
#include "plant/uprobe/uapi.h"
#include "plant/uprobe/writes.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif
#define PMU_TYPE_FILE "/sys/bus/event_source/devices/uprobe/type"
#define PREALLOCATED_MAX (16u << 20) /* bytes of a hash map whose elements are allocated beforehand */
#define KERNEL_ENOTSUPP 524 /* the kernel's own number for "not supported", which leaks to users */

/* ---- privileges ---- */

int uprobe_check_caps(struct err *err)
{
	uint64_t caps = caps_effective();
	bool admin = caps_have(caps, CAP_SYS_ADMIN);
	bool bpf = admin || caps_have(caps, CAP_BPF), perfmon = admin || caps_have(caps, CAP_PERFMON);

	if (bpf && perfmon)
		return 0;
	return err_set(err, -EPERM,
		       "missing %s%s%s: run as root, or give the file the capabilities with "
		       "`setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep`",
		       bpf ? "" : "CAP_BPF", bpf || perfmon ? "" : " and ",
		       perfmon ? "" : "CAP_PERFMON");
}

/* The kernel says EPERM though the capabilities are there. */
static int refused(const char *what, int code, struct err *err)
{
	int r = uprobe_check_caps(err);

	if (r < 0)
		return r;
	return err_set(err, code,
		       "the kernel refuses %s (%s) though the capabilities are there: kernel lockdown, "
		       "a security module, seccomp or a container's user namespace forbids it",
		       what, strerror(-code));
}

/* ---- maps and programs ---- */

static int map_create(enum bpf_map_type type, uint32_t flags, const char *what, uint32_t key_size,
		      uint32_t value_size, uint32_t entries, struct err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, "earshot", key_size, value_size, entries, &opts);

	if (fd >= 0)
		return fd;
	fd = -errno;
	if (fd == -EPERM || fd == -EACCES)
		return refused("a BPF map", fd, err);
	if (fd == -EINVAL)
		return err_set(err, -ENOSYS,
			       "this kernel has no BPF %s (Linux 5.15 or newer is needed)", what);
	return err_set(err, fd, "no BPF %s of %llu bytes: %s", what,
		       (unsigned long long)entries * (value_size ? value_size : 1), strerror(-fd));
}

int uprobe_map_create(enum bpf_map_type type, const char *what, uint32_t key_size, uint32_t value_size,
		      uint32_t entries, struct err *err)
{
	return map_create(type, 0, what, key_size, value_size, entries, err);
}

/*
 * Until Linux 6.1 a tracing program that allocates makes the kernel warn, which panics some. The ring from user space
 * came with the same release as its remedy.
 */
static bool may_allocate(void)
{
	_cleanup_(cleanup_fd) int fd =
		bpf_map_create(BPF_MAP_TYPE_USER_RINGBUF, "earshot", 0, 0, (uint32_t)sysconf(_SC_PAGESIZE), NULL);

	return fd >= 0;
}

int uprobe_hash_create(uint32_t key_size, uint32_t value_size, uint32_t entries, struct err *err)
{
	const uint32_t fits = PREALLOCATED_MAX / (key_size + value_size);
	bool lazy = may_allocate();

	return map_create(BPF_MAP_TYPE_HASH, lazy ? BPF_F_NO_PREALLOC : 0, "hash map", key_size, value_size,
			  lazy ? entries : MIN(entries, fits), err);
}

int uprobe_mapped_array_create(uint32_t value_size, uint32_t entries, struct err *err)
{
	return map_create(BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, "array that can be mapped", 4, value_size, entries, err);
}

struct code {
	const struct bpf_insn *insns;
	size_t n;
	const struct bpf_func_info *funcs; /* NULL: one function */
	size_t nfuncs;
	int btf;
};

static int load(const struct uprobe_means *m, const char *name, const struct code *c, unsigned level, char *log,
		size_t log_size)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_level = level, .log_buf = log,
		    .log_size = (uint32_t)log_size,
		    .prog_flags = m->faults_in ? BPF_F_SLEEPABLE : 0,
		    .expected_attach_type = m->multi ? UAPI_BPF_TRACE_UPROBE_MULTI : 0);
	int fd;

	if (c->funcs) {
		opts.prog_btf_fd = (uint32_t)c->btf;
		opts.func_info = c->funcs;
		opts.func_info_cnt = (uint32_t)c->nfuncs;
		opts.func_info_rec_size = sizeof(*c->funcs);
	}
	fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, name, "GPL", c->insns, c->n, &opts);

	return fd < 0 ? -errno : fd;
}

static bool is_statistic(const char *line)
{
	static const char *const begin[] = {"processed ", "verification time", "stack depth", "subprog "};

	for (size_t i = 0; i < ARRAY_SIZE(begin); i++)
		if (!strncmp(line, begin[i], strlen(begin[i])))
			return true;
	return false;
}

/* The last line of the log that is a message, not a statistic. */
static const char *verifier_message(char *log)
{
	for (size_t n = strlen(log); n; n = strlen(log)) {
		char *line;

		while (n && log[n - 1] == '\n')
			log[--n] = '\0';
		line = strrchr(log, '\n');
		line = line ? line + 1 : log;
		if (!is_statistic(line))
			return line;
		*line = '\0';
	}
	return "no message";
}

bool uprobe_loops_work(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_loop, NULL) == 1;
}

/* BPF_LOG_STATS (4): messages and statistics, without the trace of every instruction. */
enum { LOG_STATS = 4, LOG_SIZE = 64 * 1024 };

static int load_failed(const struct uprobe_means *m, int code, const struct code *c, struct err *err)
{
	_cleanup_(cleanup_free) char *log = NULL;
	int fd;

	if (code == -EPERM)
		return refused("a BPF program", code, err);
	log = xcalloc(1, LOG_SIZE);
	fd = load(m, "earshot", c, LOG_STATS, log, LOG_SIZE);
	close_fd(fd < 0 ? -1 : fd);
	if (strstr(log, UPROBE_WRITES_HELPER))
		return uprobe_writes_explain(code, log, err);
	if (c->funcs && !uprobe_loops_work())
		return err_set(err, -ENOSYS,
			       "this kernel has no loops for BPF programs (bpf_loop, Linux 5.17), which traced calls "
			       "and whole structures need");
	if (strstr(log, "too large") || code == -E2BIG)
		return err_set(err, -E2BIG,
			       "the probe is too large for this kernel's BPF verifier (%zu "
			       "instructions): capture less or shorten the condition",
			       c->n);
	return err_set(err, code, "this kernel's BPF verifier refuses the probe (%s): %.300s",
		       strerror(-code), verifier_message(log));
}

/* The end of the label, as far as a program's name may have it. */
static void program_name(const char *label, char name[BPF_OBJ_NAME_LEN])
{
	size_t n = label ? strlen(label) : 0, from = n > BPF_OBJ_NAME_LEN - 1 ? n - (BPF_OBJ_NAME_LEN - 1) : 0;

	snprintf(name, BPF_OBJ_NAME_LEN, "%s", n ? label + from : "earshot");
	for (char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
}

static int load_named(const struct uprobe_means *m, const char *label, const struct code *c, struct err *err)
{
	char name[BPF_OBJ_NAME_LEN];
	int fd;

	program_name(label, name);
	fd = load(m, name, c, 0, NULL, 0);
	return fd >= 0 ? fd : load_failed(m, fd, c, err);
}

int uprobe_prog_load(const struct uprobe_means *m, const char *label, const struct bpf_insn *insns,
		     size_t n, struct err *err)
{
	return load_named(m, label, &(const struct code){.insns = insns, .n = n}, err);
}

int uprobe_prog_load_code(const struct uprobe_means *m, const char *label, const struct emit *code,
			  const struct uprobe_btf *btf, struct err *err)
{
	_cleanup_(cleanup_free) struct bpf_func_info *funcs = xcalloc(code->subprogs.len + 1, sizeof(*funcs));
	struct code c = {.insns = code->code.data, .n = code->code.len, .btf = btf->fd,
			 .nfuncs = code->subprogs.len + 1};

	funcs[0].type_id = (uint32_t)btf->main;
	for (size_t i = 0; i < code->subprogs.len; i++)
		funcs[i + 1] = (struct bpf_func_info){code->subprogs.data[i], (uint32_t)btf->callback};
	if (code->subprogs.len)
		c.funcs = funcs;
	return load_named(m, label, &c, err);
}

/* ---- links ---- */

static int link_multi(int prog, const struct uprobe_places *at)
{
	_cleanup_(cleanup_free) uint64_t *cookies = xcalloc(at->n, sizeof(*cookies));
	struct uapi_link_create_uprobe_multi attr = {
		.prog_fd = (__u32)prog, .attach_type = UAPI_BPF_TRACE_UPROBE_MULTI,
		.path = (uintptr_t)at->path, .offsets = (uintptr_t)at->offsets,
		.ref_ctr_offsets = (uintptr_t)at->semaphores,
		.cookies = (uintptr_t)cookies, .cnt = (__u32)at->n, .pid = (__u32)at->pid,
	};
	long fd;

	for (size_t i = 0; i < at->n; i++)
		cookies[i] = at->cookie;
	fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : (int)fd;
}

#define SEMAPHORE_SHIFT 32 /* /sys/bus/event_source/devices/uprobe/format/ref_ctr_offset: config:32-63 */

/* The link keeps the event. */
static int link_perf(int pmu, int prog, const struct uprobe_places *at, size_t i)
{
	struct perf_event_attr attr = {.type = (uint32_t)pmu, .size = sizeof(attr),
				       .config = at->semaphores ? at->semaphores[i] << SEMAPHORE_SHIFT : 0,
				       .uprobe_path = (uintptr_t)at->path, .probe_offset = at->offsets[i]};
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event = {.bpf_cookie = at->cookie});
	_cleanup_(cleanup_fd) int event = -1;
	int fd;

	if (at->semaphores && at->semaphores[i] >> SEMAPHORE_SHIFT)
		return -EFBIG; /* cut to what there is room for, it would be another word of the program's */
	event = (int)syscall(SYS_perf_event_open, &attr, at->pid ? at->pid : -1, at->pid ? -1 : 0, -1,
			     PERF_FLAG_FD_CLOEXEC);
	if (event < 0)
		return -errno;
	fd = bpf_link_create(prog, event, BPF_PERF_EVENT, &opts);
	return fd < 0 ? -errno : fd;
}

static int link_failed(const struct uprobe_means *m, int code, const struct uprobe_places *at, size_t i,
		       struct err *err)
{
	const char *path = at->path;

	switch (code) {
	case -ESRCH:
		return err_set(err, code, "process %d is gone", at->pid);
	case -ENOENT:
		return err_set(err, code, "%s is gone: has the process ended?", path);
	case -EPERM:
	case -EACCES:
		/* perf_event_open of a uprobe (not uprobe_multi): measured on 6.1.192 and 6.18. */
		if (!m->multi && !(caps_effective() >> CAP_SYS_ADMIN & 1))
			return err_set(err, -EPERM,
				       "no permission to put a probe into %s: without uprobe_multi (Linux 6.6) "
				       "this kernel may want CAP_SYS_ADMIN for it; run as root",
				       path);
		return err_set(err, -EPERM,
			       "no permission to put a probe into %s: CAP_BPF and CAP_PERFMON are "
			       "needed, and CAP_SYS_PTRACE for processes of other users",
			       path);
	case -EMFILE:
		return err_set(err, code,
			       "too many open files: raise the limit (ulimit -n) or choose fewer functions");
	case -EINVAL:
	case -EIO:
	case -KERNEL_ENOTSUPP:
		return err_set(err, code, "the kernel cannot put a probe at file offset %#llx of %s (%s)",
			       (unsigned long long)at->offsets[i], path,
			       code == -KERNEL_ENOTSUPP ? "instruction not supported" : strerror(-code));
	}
	return err_set(err, code, "the kernel cannot put a probe into %s: %s", path, strerror(-code));
}

int uprobe_link(const struct uprobe_means *m, int prog, const struct uprobe_places *at, struct uprobe_links *ret,
		struct err *err)
{
	size_t want = m->multi ? 1 : at->n;
	struct uprobe_links l = {.fds = xcalloc(want, sizeof(*l.fds))};

	for (; l.n < want; l.n++) {
		int fd = m->multi ? link_multi(prog, at) : link_perf(m->pmu, prog, at, l.n);

		if (fd < 0) {
			fd = link_failed(m, fd, at, l.n, err);
			uprobe_links_done(&l);
			return fd;
		}
		l.fds[l.n] = fd;
	}
	*ret = l;
	return 0;
}

void uprobe_links_done(struct uprobe_links *l)
{
	uprobe_links_done_all(&l, 1);
}

/* ---- closing: 45 ms a link (RCU grace periods) one by one, 40 ms for 30 of them at once ---- */

#define CLOSE_THREADS 48

static void close_one(void *arg, size_t i)
{
	const int *fds = arg;

	close_fd(fds[i]);
}

void uprobe_links_done_all(struct uprobe_links *const *l, size_t n)
{
	VEC(int) fds = {0};

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < l[i]->n; k++)
			vec_push(&fds, l[i]->fds[k]);
		free(l[i]->fds);
		*l[i] = (struct uprobe_links){0};
	}
	parallel_each(fds.len, CLOSE_THREADS, close_one, fds.data);
	vec_done(&fds);
}

/* ---- what this kernel can ---- */

static int pmu_type(void)
{
	_cleanup_(buf_done) struct buf b = {0};

	if (file_read(PMU_TYPE_FILE, &b, 64) < 0 || !b.len)
		return -1;
	return atoi(b.data);
}

/*
 * By what it answers. A kernel with uprobe_multi looks at the path first and says EBADF for a directory
 * ("/"). Until 6.10 its process filter compared threads, so a Go program's other threads were missed;
 * the correction also made it refuse negative PIDs (EINVAL), which the first one took for unknown ones.
 */
static bool multi_works(void)
{
	static const struct bpf_insn nothing[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	const struct uprobe_means multi = {.multi = true};
	const struct code c = {.insns = nothing, .n = ARRAY_SIZE(nothing)};
	_cleanup_(cleanup_fd) int prog = load(&multi, "earshot", &c, 0, NULL, 0);
	const uint64_t offset = 0;
	const struct uprobe_places everywhere = {.path = "/", .offsets = &offset, .n = 1};
	const struct uprobe_places nowhere = {.path = "/", .offsets = &offset, .n = 1, .pid = -1};

	return prog >= 0 && link_multi(prog, &everywhere) == -EBADF && link_multi(prog, &nowhere) == -EINVAL;
}

/*
 * Whether programs may sleep (uprobes: Linux 6.0) with the maps that we have: until 6.1 a hash map had to be allocated
 * beforehand for that.
 */
static bool sleeping_works(bool multi)
{
	_cleanup_(cleanup_fd) int map = uprobe_hash_create(8, 8, 1, NULL);
	_cleanup_(emit_done) struct emit e = {0};
	const struct uprobe_means m = {.multi = multi, .faults_in = true};
	int fd;

	emit_store_imm(&e, 8, BPF_REG_10, -8, 0);
	emit_map_fd(&e, BPF_REG_1, map);
	emit_alu(&e, BPF_MOV, BPF_REG_2, BPF_REG_10);
	emit_alu_imm(&e, BPF_ADD, BPF_REG_2, -8);
	emit_call(&e, BPF_FUNC_map_lookup_elem);
	emit_alu(&e, BPF_MOV, BPF_REG_1, BPF_REG_10);
	emit_alu_imm(&e, BPF_ADD, BPF_REG_1, -8);
	emit_alu_imm(&e, BPF_MOV, BPF_REG_2, 8);
	emit_alu_imm(&e, BPF_MOV, BPF_REG_3, 0);
	emit_call(&e, BPF_FUNC_copy_from_user);
	emit_alu_imm(&e, BPF_MOV, BPF_REG_0, 0);
	emit_exit(&e);
	fd = map < 0 || emit_finish(&e, NULL) < 0
		     ? -1
		     : load(&m, "earshot", &(const struct code){.insns = e.code.data, .n = e.code.len}, 0, NULL, 0);
	close_fd(fd);
	return fd >= 0;
}

/* Whether a program may use more stack than there is on the kernel's own: from Linux 6.13 on, on some machines. */
static bool has_private_stack(bool multi)
{
	enum { DEEP = -480 };
	static const struct bpf_insn insns[] = {
		{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = DEEP},
		{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 2},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT},
		{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .off = DEEP},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
	const struct uprobe_means m = {.multi = multi};
	_cleanup_(cleanup_fd) int fd =
		load(&m, "earshot", &(const struct code){.insns = insns, .n = ARRAY_SIZE(insns)}, 0, NULL, 0);

	return fd >= 0;
}

int uprobe_means_detect(unsigned flags, struct uprobe_means *ret, struct err *err)
{
	struct uprobe_means m = {.multi = !(flags & MEANS_NO_MULTI) && multi_works(), .pmu = pmu_type()};

	if (!m.multi && m.pmu < 0)
		return err_set(err, -ENOSYS,
			       "this kernel has no uprobes for BPF: neither uprobe_multi nor %s "
			       "(CONFIG_UPROBE_EVENTS; is /sys mounted?)",
			       PMU_TYPE_FILE);
	m.faults_in = !(flags & MEANS_NO_FAULTS) && sleeping_works(m.multi);
	m.private_stack = has_private_stack(m.multi);
	m.returns = returns_work(&m);
	*ret = m;
	return 0;
}
