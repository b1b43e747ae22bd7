#include "target/family.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/vec.h"
#include "target/process.h"

#define RING_PAGES 64u /* of records, a power of two; some 5,000 forks */

struct fork_ring { /* of a CPU */
	int fd;
	struct perf_event_mmap_page *page;
};

struct fork_record { /* PERF_RECORD_FORK */
	struct perf_event_header head;
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

struct lost_record { /* PERF_RECORD_LOST: of all kinds, threads' among them */
	struct perf_event_header head;
	uint64_t id, lost;
};

struct family {
	const char *procfs;
	VEC(struct fork_ring) rings;
	VEC(int) roots;
	struct map members, others; /* pid → anything; of others only who was asked for */
	VEC(struct fork_record) told; /* what is not taken note of yet */
	uint64_t lost;
	size_t page;
};

static void *const member = (void *)"";

/* ---- what the kernel tells ---- */

static int ring_open(struct family *f, int cpu)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr),
				       .config = PERF_COUNT_SW_DUMMY, .task = 1, .exclude_kernel = 1,
				       .use_clockid = 1, .clockid = CLOCK_MONOTONIC /* of all CPUs */};
	struct fork_ring r = {.fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC)};

	if (r.fd < 0)
		return -errno;
	r.page = mmap(NULL, (1 + RING_PAGES) * f->page, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
	if (r.page == MAP_FAILED) {
		int code = -errno;

		close(r.fd);
		return code;
	}
	vec_push(&f->rings, r);
	return 0;
}

static int rings_open(struct family *f)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	int r = 0;

	for (int cpu = 0; cpu < cpus && (!r || r == -ENODEV); cpu++)
		r = ring_open(f, cpu); /* -ENODEV: it is off */
	return r == -ENODEV ? 0 : r;
}

/* A number may be used again, by somebody else's child. */
static void on_fork(struct family *f, const struct fork_record *r)
{
	map_del(&f->others, r->pid);
	if (map_get(&f->members, r->ppid))
		map_set(&f->members, r->pid, member);
	else
		map_del(&f->members, r->pid);
}

/* n bytes at `at` of the ring, which may go on at its beginning. */
static void ring_copy(const struct family *f, const struct fork_ring *r, uint64_t at, void *ret, size_t n)
{
	const char *data = (const char *)r->page + f->page;

	for (size_t i = 0; i < n; i++)
		((char *)ret)[i] = data[(at + i) % (RING_PAGES * f->page)];
}

/* Without threads, which are the process's own. */
static void ring_read(struct family *f, struct fork_ring *r)
{
	uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE), at = r->page->data_tail;

	while (head - at >= sizeof(struct perf_event_header)) {
		struct fork_record record = {0};
		struct lost_record lost;

		ring_copy(f, r, at, &record.head, sizeof(record.head));
		if (record.head.size < sizeof(record.head))
			break;
		if (record.head.type == PERF_RECORD_FORK && record.head.size >= sizeof(record)) {
			ring_copy(f, r, at, &record, sizeof(record));
			if (record.pid != record.ppid)
				vec_push(&f->told, record);
		}
		if (record.head.type == PERF_RECORD_LOST && record.head.size >= sizeof(lost)) {
			ring_copy(f, r, at, &lost, sizeof(lost));
			f->lost += lost.lost;
		}
		at += record.head.size;
	}
	__atomic_store_n(&r->page->data_tail, head, __ATOMIC_RELEASE);
}

static void rings_read(struct family *f)
{
	for (size_t i = 0; i < f->rings.len; i++)
		ring_read(f, &f->rings.data[i]);
}

static int compare_times(const void *x, const void *y)
{
	const struct fork_record *a = x, *b = y;

	return (a->time > b->time) - (a->time < b->time);
}

/*
 * A line of forks may go over several CPUs, whose rings are read one after another: what came before anything that the
 * first look has seen, the second one sees, and what is later than that waits.
 */
void family_update(struct family *f)
{
	uint64_t until = 0;
	size_t n = 0;

	rings_read(f);
	for (size_t i = 0; i < f->told.len; i++)
		until = MAX(until, f->told.data[i].time);
	if (!f->told.len)
		return;
	rings_read(f);
	qsort(f->told.data, f->told.len, sizeof(*f->told.data), compare_times);
	while (n < f->told.len && f->told.data[n].time <= until)
		on_fork(f, &f->told.data[n++]);
	memmove(f->told.data, f->told.data + n, (f->told.len - n) * sizeof(*f->told.data));
	f->told.len -= n;
}

uint64_t family_lost(const struct family *f)
{
	return f->lost;
}

/* ---- who belongs ---- */

int family_new(const char *procfs, struct family **ret, struct err *err)
{
	struct family *f = xcalloc(1, sizeof(*f));
	int r;

	f->procfs = procfs;
	f->page = (size_t)sysconf(_SC_PAGESIZE);
	*ret = f;
	r = rings_open(f);
	return r ? err_set(err, r, "the kernel does not tell us of forks (perf_event_open: %s)", strerror(-r)) : 0;
}

void family_free(struct family *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->rings.len; i++) {
		munmap(f->rings.data[i].page, (1 + RING_PAGES) * f->page);
		close(f->rings.data[i].fd);
	}
	vec_done(&f->rings);
	vec_done(&f->roots);
	vec_done(&f->told);
	map_done(&f->members);
	map_done(&f->others);
	free(f);
}

/* What it has started and what that has started, as far as it runs. */
static void add_running(struct family *f, int root)
{
	DIR *d = opendir(f->procfs);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (isdigit((unsigned char)*e->d_name) && process_descends(f->procfs, atoi(e->d_name), root))
			map_set(&f->members, (uint64_t)atoi(e->d_name), member);
	if (d)
		closedir(d);
}

void family_add(struct family *f, int pid)
{
	vec_push(&f->roots, pid);
	map_set(&f->members, (uint64_t)pid, member);
	add_running(f, pid);
}

/* Where the kernel does not tell, or what it told was too much. */
static bool descends_now(struct family *f, int pid)
{
	for (size_t i = 0; i < f->roots.len; i++)
		if (process_descends(f->procfs, pid, f->roots.data[i]))
			return true;
	return false;
}

bool family_has(struct family *f, int pid)
{
	if (map_get(&f->members, (uint64_t)pid))
		return true;
	family_update(f);
	if (!map_get(&f->members, (uint64_t)pid) && !map_get(&f->others, (uint64_t)pid))
		map_set(descends_now(f, pid) ? &f->members : &f->others, (uint64_t)pid, member);
	return map_get(&f->members, (uint64_t)pid);
}
