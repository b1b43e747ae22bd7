#include "target/process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/caps.h"
#include "base/file.h"

#define PF_EXITING 4 /* include/linux/sched.h: the thread has begun to end */

static int proc_file(const char *procfs, int pid, const char *name, struct buf *b)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%d/%s", procfs, pid, name);
	return file_read(path, b, 0);
}

/* The n-th field of what stat holds (from 3 on), after the command, which may hold spaces and brackets. */
static bool field_of(const struct buf *stat, int n, uint64_t *ret)
{
	const char *p = stat->data ? strrchr(stat->data, ')') : NULL;

	for (int i = 2; i < n && p; i++)
		p = strchr(p + 1, ' ');
	if (p)
		*ret = strtoull(p + 1, NULL, 10);
	return p;
}

static bool stat_field(const char *procfs, int pid, int n, uint64_t *ret)
{
	_cleanup_(buf_done) struct buf b = {0};

	return proc_file(procfs, pid, "stat", &b) == 0 && field_of(&b, n, ret);
}

static void read_stat(const char *procfs, struct process *p)
{
	_cleanup_(buf_done) struct buf b = {0};

	if (proc_file(procfs, p->pid, "stat", &b) < 0)
		return;
	field_of(&b, 22, &p->start_ticks);
	field_of(&b, 28, &p->stack);
}

uint64_t process_start_ticks(const char *procfs, int pid)
{
	uint64_t t;

	return stat_field(procfs, pid, 22, &t) ? t : 0;
}

bool process_ended(const char *procfs, int pid, int wait_ms)
{
	struct pollfd p = {.events = POLLIN};
	uint64_t flags;
	int r;

	if (!stat_field(procfs, pid, 9, &flags))
		return true;
	if (!(flags & PF_EXITING)) /* of the first thread, whose memory what we read is */
		return false;
	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd < 0)
		return errno == ESRCH;
	r = poll(&p, 1, wait_ms);
	close(p.fd);
	return r > 0;
}

/* What pidfd_open(2)'s descriptor tells since Linux 6.13; of the end since 6.15. Debian 12's headers lack it. */
struct end_of_process {
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t status;
};
#define END_OF_PROCESS _IOWR(0xff, 11, struct end_of_process)
#define END_IS_KNOWN   (1u << 3)

bool process_exit_status(const char *procfs, const struct process *p, int pidfd, int *ret)
{
	struct end_of_process end = {.mask = END_IS_KNOWN};
	uint64_t status;

	if (process_start_ticks(procfs, p->pid) == p->start_ticks && stat_field(procfs, p->pid, 52, &status)) {
		*ret = (int)status; /* a zombie */
		return true;
	}
	if (ioctl(pidfd, END_OF_PROCESS, &end) < 0 || !(end.mask & END_IS_KNOWN))
		return false;
	*ret = end.status;
	return true;
}

uint64_t process_cpu_ns(const char *procfs, int pid)
{
	uint64_t user, system;

	if (!stat_field(procfs, pid, 14, &user) || !stat_field(procfs, pid, 15, &system))
		return 0;
	return (user + system) * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t process_network(const char *procfs, int pid)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%.60s/%d/ns/net", procfs, pid);
	if (stat(path, &st) < 0)
		return 0;
	/* Namespaces are inodes of one file system; the device tells where a dump has none. */
	return (uint64_t)st.st_dev << 32 ^ (uint64_t)st.st_ino;
}

int process_parent(const char *procfs, int pid)
{
	uint64_t parent;

	return stat_field(procfs, pid, 4, &parent) ? (int)parent : 0;
}

bool process_descends(const char *procfs, int pid, int ancestor)
{
	for (int i = 0; i < 64 && pid > 1; i++) {
		if (pid == ancestor)
			return true;
		pid = process_parent(procfs, pid);
	}
	return false;
}

/* A field of /proc/PID/status; false when it is not there. */
static bool status_field(const char *procfs, const char *who, const char *field, char *ret, size_t size)
{
	_cleanup_(buf_done) struct buf b = {0};
	char path[128], *p;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s/status", procfs, who);
	if (file_read(path, &b, 0) < 0 || !b.data || !(p = strstr(b.data, field)) || (p > b.data && p[-1] != '\n'))
		return false;
	p += strlen(field);
	p += strspn(p, " \t");
	n = MIN(strcspn(p, "\n"), size - 1);
	memcpy(ret, p, n);
	ret[n] = 0;
	return true;
}

bool process_has_shadow_stack(const char *procfs, int pid)
{
	char who[16], features[128];

	snprintf(who, sizeof(who), "%d", pid);
	return status_field(procfs, who, "x86_Thread_features:", features, sizeof(features)) &&
	       strstr(features, "shstk");
}

static char process_state(const char *procfs, const char *who)
{
	char text[64];

	return status_field(procfs, who, "State:", text, sizeof(text)) ? text[0] : 0;
}

/* Threads that still run though the first one has ended. */
static unsigned living_threads(const char *procfs, int pid)
{
	char path[128], who[300];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%d/task", procfs, pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char state;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(who, sizeof(who), "%d/task/%s", pid, e->d_name);
		state = process_state(procfs, who);
		n += state && state != 'Z' && state != 'X';
	}
	if (d)
		closedir(d);
	return n;
}

static int explain_zombie(const char *procfs, int pid, struct err *err)
{
	unsigned n = living_threads(procfs, pid);
	char others[32];

	if (!n)
		return err_set(err, -ESRCH, "process %d has ended; its parent has not asked for its exit status yet (a "
					    "zombie)", pid);
	snprintf(others, sizeof(others), n == 1 ? "another runs on" : "%u others run on", n);
	return err_set(err, -ENOEXEC,
		       "the first thread of process %d has ended, and %s: the kernel shows no executable of such a "
		       "process, so it cannot be observed", pid, others);
}

static int explain_unreadable(const char *procfs, int pid, int r, struct err *err)
{
	char path[128], who[16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%d", procfs, pid);
	snprintf(who, sizeof(who), "%d", pid);
	if (stat(path, &st) < 0)
		return err_set(err, -ESRCH, "there is no process %d; `pgrep -l NAME` finds the right one", pid);
	if (process_state(procfs, who) == 'Z')
		return explain_zombie(procfs, pid, err);
	if (r == -ENOENT)
		return err_set(err, -ENOEXEC, "process %d has no executable (a kernel thread, or it is exiting)", pid);
	return err_set(err, -EACCES, "process %d belongs to uid %u and may not be looked into: %s", pid, st.st_uid,
		       caps_ptrace_advice("CAP_SYS_PTRACE is missing (run as root)"));
}

/* Whether the file of the control group at path says so. */
static bool group_says(const char *mount, const char *path, const char *file, const char *word)
{
	_cleanup_(buf_done) struct buf b = {0};
	char full[4300];

	snprintf(full, sizeof(full), "%s%s/%s", mount, path, file);
	return file_read(full, &b, 0) == 0 && b.data && strstr(b.data, word);
}

/*
 * Lines are ID:CONTROLLERS:PATH, of version 2 without controllers. Where a thread waits would not tell:
 * futex does, too.
 */
static bool is_frozen(const char *procfs, int pid)
{
	_cleanup_(buf_done) struct buf b = {0};
	char *save = NULL;

	if (proc_file(procfs, pid, "cgroup", &b) < 0 || !b.data)
		return false;
	for (char *line = strtok_r(b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = 0;
		if (!strcmp(controllers, ":freezer") &&
		    (group_says("/sys/fs/cgroup/freezer", path, "freezer.state", "FROZEN") ||
		     group_says("/sys/fs/cgroup/freezer", path, "freezer.state", "FREEZING")))
			return true;
		if (!strcmp(controllers, ":") && (group_says("/sys/fs/cgroup", path, "cgroup.events", "frozen 1") ||
						  group_says("/sys/fs/cgroup/unified", path, "cgroup.events",
							     "frozen 1")))
			return true;
	}
	return false;
}

bool process_halted(const char *procfs, int pid, struct buf *out)
{
	char who[16], state;

	snprintf(who, sizeof(who), "%d", pid);
	state = process_state(procfs, who);
	if (state == 'T') {
		buf_printf(out, "is stopped by a signal; kill -CONT %d lets it go on", pid);
		return true;
	}
	if (!is_frozen(procfs, pid))
		return false;
	buf_printf(out, "is frozen with its control group (/proc/%d/cgroup names it)", pid);
	return true;
}

int process_check_id(const char *procfs, int pid, struct err *err)
{
	char who[16], group[32], name[64] = "?";

	snprintf(who, sizeof(who), "%d", pid);
	if (!status_field(procfs, who, "Tgid:", group, sizeof(group)) || atoi(group) == pid)
		return 0;
	status_field(procfs, group, "Name:", name, sizeof(name));
	return err_set(err, -EINVAL, "%d is a thread of process %s (%s), which -p %s observes with all its threads",
		       pid, group, name, group);
}

int process_read(const char *procfs, int pid, struct process *ret, struct err *err)
{
	struct process p = {.pid = pid};
	char link[4096];
	struct stat st;
	ssize_t n;

	snprintf(p.exe_path, sizeof(p.exe_path), "%.30s/%d/exe", procfs, pid);
	n = readlink(p.exe_path, link, sizeof(link) - 1);
	if (n < 0 || stat(p.exe_path, &st) < 0)
		return explain_unreadable(procfs, pid, -errno, err);
	link[n] = 0;
	if (n > 10 && !strcmp(link + n - 10, " (deleted)"))
		link[n - 10] = 0;
	read_stat(procfs, &p);
	p.file = file_id_of(&st);
	p.exe = xstrdup(link);
	*ret = p;
	return 0;
}

bool process_same(const struct process *a, const struct process *b)
{
	return a->pid == b->pid && a->start_ticks == b->start_ticks && a->file.dev == b->file.dev &&
	       a->file.ino == b->file.ino && (a->stack == b->stack || a->stack <= 1 || b->stack <= 1);
}

void process_done(struct process *p)
{
	free(p->exe);
	p->exe = NULL;
}

const char *process_name(const struct process *p)
{
	const char *slash = strrchr(p->exe, '/');

	return slash ? slash + 1 : p->exe;
}

/* A mapping of the executable at file offset `offset`: which segment it is, and so the bias. */
static bool bias_of_mapping(const struct image *img, uint64_t start, uint64_t offset, uint64_t *ret)
{
	const uint64_t page = 4096;

	for (size_t i = 0; i < img->nsegments; i++) {
		const struct image_segment *s = &img->segments[i];

		if (s->filesz && s->offset / page * page == offset) {
			*ret = start - s->vaddr / page * page;
			return true;
		}
	}
	return false;
}

int process_bias(const char *procfs, const struct process *p, const struct image *img, uint64_t *ret,
		 struct err *err)
{
	_cleanup_(buf_done) struct buf maps = {0};
	struct stat st;
	char *save = NULL;

	if (!img->pie) {
		*ret = 0;
		return 0;
	}
	if (proc_file(procfs, p->pid, "maps", &maps) < 0 || !maps.data || !maps.len || stat(p->exe_path, &st) < 0)
		return err_set(err, -ESRCH, "process %d went away", p->pid);
	for (char *line = strtok_r(maps.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t start, offset, inode;
		char perms[8];

		/* The device is not compared: overlay filesystems show another one here than stat(2) does. */
		if (sscanf(line, "%" SCNx64 "-%*x %7s %" SCNx64 " %*s %" SCNu64, &start, perms, &offset, &inode) != 4)
			continue;
		if (inode == st.st_ino && bias_of_mapping(img, start, offset, ret))
			return 0;
	}
	return err_set(err, -ENODATA, "process %d does not map its own executable %s as expected", p->pid, p->exe);
}
