#include "plant/woven/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

#define LINK_TEXT "/memfd:" WOVEN_NAME " (deleted)"
#define LOOKS 2000              /* at a slot in use, with a moment between them: some 100 ms */
#define LOOK_NS 50000
#define BARRIER_NS 10000000
#define MAKING_LOOKS 20
#define MAKING_NS 1000000
#define STALE_NS 10000000000u
#define LEAST_WANTED 64u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* ---- finding it ---- */

/* Its number in its own PID namespace: the last of those in PROCFS/PID/status. */
static uint64_t own_pid(const char *procfs, int pid)
{
	_cleanup_(buf_done) struct buf b = {0};
	const char *line, *end, *last;
	char path[64];

	snprintf(path, sizeof(path), "%.30s/%d/status", procfs, pid);
	if (file_read(path, &b, 0) < 0 || !b.data || !(line = strstr(b.data, "\nNSpid:")))
		return 0;
	end = strchrnul(line + 1, '\n');
	for (last = end; last > line && last[-1] != '\t' && last[-1] != ' ' && last[-1] != ':'; last--)
		;
	return strtoull(last, NULL, 10);
}

/* Opens the descriptor of that number if it is one of the memory; else -ENOENT. */
static int open_if_memory(const char *fds, const char *name)
{
	char path[384], to[sizeof(LINK_TEXT) + 1];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%.100s/%.255s", fds, name);
	n = readlink(path, to, sizeof(to));
	if (n != (ssize_t)strlen(LINK_TEXT) || memcmp(to, LINK_TEXT, (size_t)n))
		return -ENOENT;
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int find_memory(const char *procfs, int pid, struct err *err)
{
	struct dirent *e;
	char fds[64];
	int fd = -ENOENT;
	DIR *dir;

	snprintf(fds, sizeof(fds), "%.30s/%d/fd", procfs, pid);
	dir = opendir(fds);
	if (!dir && errno == ENOENT)
		return err_set(err, -ESRCH, "there is no process %d", pid);
	if (!dir)
		return err_set(err, -errno,
			       "cannot look at the open files of process %d: %s (it needs the same user, or "
			       "CAP_SYS_PTRACE)",
			       pid, strerror(errno));
	while (fd == -ENOENT && (e = readdir(dir)))
		fd = open_if_memory(fds, e->d_name);
	closedir(dir);
	if (fd == -ENOENT)
		return err_set(err, -ENODATA,
			       "process %d has no memory for records: it was started with EARSHOT_RECORD=never, or "
			       "with a limit of its address space or of file sizes, or its kernel lacks memfd_create "
			       "or MADV_WIPEONFORK, or it has closed the file; or its runtime could not be woven",
			       pid);
	return fd < 0 ? err_set(err, fd, "cannot open the records of process %d: %s", pid, strerror(-fd)) : fd;
}

/* ---- what it must be ---- */

static bool power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

static bool fits(uint64_t off, uint64_t n, uint64_t each, uint64_t end)
{
	return off <= end && (!each || n <= (end - off) / each);
}

/* Nothing here is larger than 2^48, so no sum overflows. */
static bool layout_ok(const struct woven_area *a, uint64_t bytes)
{
	const struct ring_area *r = &a->ring;
	const uint64_t slots = (uint64_t)r->procs + r->extra;
	const uint64_t slot = WOVEN_TALLY_OFF(r) + WOVEN_MAX_WANTED * sizeof(struct woven_tally);

	return bytes >> 48 == 0 && r->procs && r->extra && slots <= WOVEN_MAX_SLOTS && r->chunks &&
	       r->chunks <= RING_MAX_CHUNKS && power_of_two(r->table_len) && r->table_len >= r->chunks &&
	       r->table_len <= RING_MAX_CHUNKS && r->slot_bytes % 4096 == 0 && r->slot_bytes >= slot &&
	       a->wanted_off % 8 == 0 && a->wanted_off >= WOVEN_HEAD && a->contexts_off % 8 == 0 &&
	       (!a->contexts_off || (a->contexts_off >= WOVEN_HEAD && a->contexts_off < a->wanted_off)) &&
	       (!a->facts_off ||
		(a->facts_off % 8 == 0 && a->facts_off > a->contexts_off && a->contexts_off &&
		 fits(a->facts_off, WOVEN_FACTS_MAX, sizeof(struct woven_fact_place), a->wanted_off))) &&
	       fits(a->wanted_off, WOVEN_MAX_WANTED, sizeof(struct woven_wanted), r->links_off) &&
	       r->links_off % 8 == 0 && r->slots_off % 4096 == 0 &&
	       fits(r->links_off, r->chunks, sizeof(uint32_t), a->plans_off) && a->plans_off % 8 == 0 &&
	       fits(a->plans_off, WOVEN_PLANS, sizeof(struct woven_plan), a->marks_off) && a->marks_off % 8 == 0 &&
	       power_of_two(a->marks) &&
	       fits(a->marks_off, 1, WOVEN_MARKS_BYTES(a->marks) + WOVEN_STATES_BYTES(a->marks), r->slots_off) &&
	       r->bytes <= r->pool_off &&
	       fits(r->slots_off, slots, r->slot_bytes, r->bytes) && r->pool_off % 4096 == 0 &&
	       fits(r->pool_off, r->chunks, RING_CHUNK, bytes);
}

int woven_area_check(const struct woven_area *a, uint64_t bytes, struct err *err)
{
	if (!a->ring.magic)
		return err_set(err, -EINPROGRESS, "the program's recorder has not begun: its memory is empty");
	if (a->ring.magic != WOVEN_MAGIC || a->ring.size != sizeof(*a))
		return err_set(err, -EPROTO,
			       "the program's recorder is of another version of earshot (%#x of %u bytes, here %#x of "
			       "%zu): build it anew, or use that version",
			       a->ring.magic, a->ring.size, WOVEN_MAGIC, sizeof(*a));
	if (!layout_ok(a, bytes))
		return err_set(err, -EPROTO,
			       "the memory of the program's recorder is not what a recorder makes (%u and %u slots of "
			       "%u bytes, %u chunks, in a file of %llu bytes)",
			       a->ring.procs, a->ring.extra, a->ring.slot_bytes, a->ring.chunks,
			       (unsigned long long)bytes);
	return 0;
}

/* A file that can be cut could end us by a signal; so could one of huge pages, of which none may be left. */
static int map_memory(struct woven_memory *m, struct err *err)
{
	int seals = fcntl(m->fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;
	void *p;

	if (fstat(m->fd, &st) < 0 || seals < 0 || (seals & SEALS) != SEALS || st.st_size < WOVEN_HEAD)
		return err_set(err, -EPROTO, "the memory of the program's recorder is not sealed, or too short");
	if (fstatfs(m->fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
		return err_set(err, -EPROTO, "the memory of the program's recorder is not of ordinary pages");
	m->bytes = (uint64_t)st.st_size;
	p = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, m->fd, 0);
	if (p == MAP_FAILED)
		return err_set(err, -errno, "cannot map the program's records: %s", strerror(errno));
	m->area = p;
	memcpy(&m->layout, m->area, sizeof(m->layout));
	return woven_area_check(&m->layout, m->bytes, err);
}

static int open_checked(const char *procfs, int pid, struct woven_memory *m, struct err *err)
{
	int r = map_memory(m, err);

	if (r < 0)
		return r;
	if (m->layout.pid != own_pid(procfs, pid))
		return err_set(err, -ENODATA, "process %d was forked by a woven program and records nothing of its own",
			       pid);
	if (flock(m->fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, -EBUSY, "another earshot listens to process %d", pid);
	return 0;
}

static int open_once(const char *procfs, int pid, struct woven_memory *ret, struct err *err)
{
	struct woven_memory m = {.fd = find_memory(procfs, pid, err)};
	int r = m.fd < 0 ? m.fd : open_checked(procfs, pid, &m, err);

	if (r < 0) {
		if (m.area)
			munmap(m.area, m.bytes);
		close_fd(m.fd);
		return r;
	}
	*ret = m;
	return 0;
}

/* The program may be about to make it: it is sealed before the magic number comes. */
int woven_memory_open(const char *procfs, int pid, struct woven_memory *ret, struct err *err)
{
	const struct timespec moment = {0, MAKING_NS};
	int r = open_once(procfs, pid, ret, err);

	for (int i = 0; (r == -EPROTO || r == -EINPROGRESS) && i < MAKING_LOOKS; i++) {
		nanosleep(&moment, NULL);
		r = open_once(procfs, pid, ret, err);
	}
	return r == -EINPROGRESS ? -ENODATA : r; /* on a busy machine that may take a while */
}

/* ---- sessions ---- */

static uint32_t slots_of(const struct woven_memory *m)
{
	return m->layout.ring.procs + m->layout.ring.extra;
}

static struct woven_slot *slot_at(const struct woven_memory *m, uint32_t i)
{
	return (struct woven_slot *)(void *)ring_slot_at(&m->area->ring, &m->layout.ring, i);
}

static bool comes_free(const struct woven_slot *s)
{
	const struct timespec moment = {0, LOOK_NS};

	for (int i = 0; __atomic_load_n(&s->busy, __ATOMIC_ACQUIRE); i++) {
		if (i == LOOKS)
			return false;
		nanosleep(&moment, NULL);
	}
	return true;
}

/* Nobody writes any more, and nobody begins to. The program's threads look at the switch behind the barrier. */
static int quiet(struct woven_memory *m)
{
	const struct timespec while_stores_are_held = {0, BARRIER_NS};

	__atomic_store_n(&m->area->session, 0, __ATOMIC_SEQ_CST);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		nanosleep(&while_stores_are_held, NULL);
	for (uint32_t i = 0; i < slots_of(m); i++)
		if (!comes_free(slot_at(m, i)))
			return -EBUSY;
	return 0;
}

int woven_session_end(struct woven_memory *m)
{
	if (!m->session)
		return 0;
	m->session = 0;
	return quiet(m);
}

bool woven_session_lost(const struct woven_memory *m)
{
	return m->session && __atomic_load_n(&m->area->session, __ATOMIC_ACQUIRE) != m->session;
}

static int exists(const struct woven_memory *m, uint64_t off, uint64_t n)
{
	return fallocate(m->fd, 0, (off_t)off, (off_t)n) < 0 ? -errno : 0;
}

/* All but what the program may be looking at without telling: the table of contexts. */
static void give_back(const struct woven_memory *m)
{
	const uint64_t from = m->layout.wanted_off;

	fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(m->bytes - from));
}

int woven_contexts_put(struct woven_memory *m, const void *bytes, size_t n)
{
	const uint64_t off = m->layout.contexts_off;
	const uint64_t end = m->layout.facts_off ? m->layout.facts_off : m->layout.wanted_off;
	int r;

	if (__atomic_load_n(&m->area->contexts, __ATOMIC_ACQUIRE))
		return 0;
	if (!off || n > MIN(end - off, WOVEN_CONTEXTS_MAX))
		return -E2BIG;
	r = exists(m, off, n);
	if (r < 0)
		return r;
	memcpy((char *)m->area + off, bytes, n);
	__atomic_store_n(&m->area->contexts, (uint32_t)n, __ATOMIC_RELEASE);
	return 0;
}

int woven_facts_put(struct woven_memory *m, const struct woven_fact_place *facts, size_t n)
{
	struct woven_fact_place *places = (void *)((char *)m->area + m->layout.facts_off);
	size_t all = 1;
	int r;

	if (!n || __atomic_load_n(&m->area->facts, __ATOMIC_ACQUIRE))
		return 0;
	while (all < 2 * n)
		all *= 2;
	if (!m->layout.facts_off || all > WOVEN_FACTS_MAX)
		return -E2BIG;
	r = exists(m, m->layout.facts_off, all * sizeof(*places));
	if (r < 0)
		return r;
	memset(places, 0, all * sizeof(*places)); /* of one before us that did not get to the end */
	for (size_t i = 0; i < n; i++) {
		size_t at = facts[i].key & (all - 1);

		while (places[at].key && places[at].key != facts[i].key)
			at = (at + 1) & (all - 1);
		places[at] = facts[i];
	}
	__atomic_store_n(&m->area->facts, (uint32_t)all, __ATOMIC_RELEASE);
	return 0;
}

/* All that the program will write to is there before it does, on our account. */
static int make_exist(const struct woven_memory *m, uint32_t wanted_len, uint32_t chunks)
{
	const struct ring_area *l = &m->layout.ring;
	const uint64_t slot = WOVEN_TALLY_OFF(l) + wanted_len * sizeof(struct woven_tally);
	int r = exists(m, m->layout.wanted_off, wanted_len * sizeof(struct woven_wanted));

	if (!r)
		r = exists(m, l->links_off, l->chunks * sizeof(uint32_t));
	for (uint32_t i = 0; i < slots_of(m) && !r; i++)
		r = exists(m, l->slots_off + (uint64_t)i * l->slot_bytes, slot);
	return r ? r : exists(m, l->pool_off, (uint64_t)chunks * RING_CHUNK);
}

static bool has_states(const struct woven_plan *p)
{
	for (unsigned i = 0; p && !p->inject && i < p->nwords; i++)
		if (p->words[i].use == WOVEN_STATE)
			return true;
	return false;
}

static bool any_has_states(const struct woven_key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (has_states(keys[i].plan))
			return true;
	return false;
}

/* Room for tracestates, and what is valid as one. */
static int make_states_exist(const struct woven_memory *m)
{
	const uint64_t off = m->layout.marks_off + WOVEN_MARKS_BYTES(m->layout.marks);
	const int r = exists(m, off, WOVEN_STATES_BYTES(m->layout.marks));

	if (!r)
		tracestate_rules((struct tracestate_rules *)((char *)m->area + off));
	return r;
}

/* Likewise all that marks need, where one of the points has a plan. */
static int make_marks_exist(const struct woven_memory *m, const struct woven_key *keys, size_t n, bool *ret_any)
{
	int r;

	*ret_any = false;
	for (size_t i = 0; i < n; i++)
		*ret_any |= keys[i].plan != NULL;
	if (!*ret_any)
		return 0;
	r = exists(m, m->layout.plans_off, WOVEN_PLANS * sizeof(struct woven_plan));
	if (!r)
		r = exists(m, m->layout.marks_off, WOVEN_MARKS_BYTES(m->layout.marks));
	return r || !any_has_states(keys, n) ? r : make_states_exist(m);
}

/* What ids are made of. Without getrandom (a seccomp filter may refuse it) they need only be different. */
static void put_seed(const struct woven_memory *m)
{
	uint64_t seed[2];

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed) || !(seed[0] | seed[1])) {
		seed[0] = clock_monotonic_ns();
		seed[1] = (uint64_t)getpid();
	}
	memcpy(m->area->seed, seed, sizeof(seed));
}

struct woven_wanted *woven_wanted_at(const struct woven_memory *m, uint32_t index)
{
	return (struct woven_wanted *)(void *)((char *)m->area + m->layout.wanted_off) + index;
}

/* The program may put others in at the same time. False: the table is full. */
static bool want(const struct woven_memory *m, const struct woven_key *k)
{
	const uint32_t mask = m->layout.wanted_len - 1;

	for (uint32_t i = 0; i <= mask; i++) {
		struct woven_wanted *w = woven_wanted_at(m, ((uint32_t)k->key + i) & mask);
		uint64_t there = 0;

		if (!__atomic_compare_exchange_n(&w->key, &there, k->key, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) &&
		    there != k->key)
			continue;
		__atomic_store_n(&w->every, 1, __ATOMIC_RELEASE);
		*k->ret_index = ((uint32_t)k->key + i) & mask;
		return true;
	}
	return false;
}

static int want_all(const struct woven_memory *m, const struct woven_key *keys, size_t n, struct err *err)
{
	struct woven_plan *plans = (void *)((char *)m->area + m->layout.plans_off);
	uint32_t nplans = 0;

	for (size_t i = 0; i < n; i++) {
		if (!keys[i].key || !want(m, &keys[i]) || (keys[i].plan && nplans == WOVEN_PLANS))
			return err_set(err, -E2BIG, "the program's recorder has no room for %zu probes", n);
		if (!keys[i].plan)
			continue;
		plans[nplans] = *keys[i].plan;
		__atomic_store_n(&woven_wanted_at(m, *keys[i].ret_index)->plan, ++nplans, __ATOMIC_RELEASE);
	}
	put_seed(m);
	__atomic_store_n(&m->area->marks_on, nplans != 0, __ATOMIC_RELEASE);
	return 0;
}

static uint32_t table_for(size_t n)
{
	uint32_t len = LEAST_WANTED;

	while (len < WOVEN_MAX_WANTED && len < 2 * n)
		len *= 2;
	return len;
}

static void set_clock(const struct woven_memory *m, const struct tsc_clock *clock)
{
	struct ring_area *r = &m->area->ring;

	m->area->clock = clock->monotonic ? WOVEN_MONOTONIC : WOVEN_TSC;
	r->stale_tsc = tsc_clock_units(clock, STALE_NS);
	__atomic_store_n(&r->heartbeat_tsc, tsc_clock_now(clock), __ATOMIC_RELEASE);
}

/* The next number of a session, in which only the table counts. False: the program has ended that session. */
static bool change_session(struct woven_memory *m, uint32_t from, uint32_t all)
{
	uint64_t was = from | (uint64_t)all << 32;
	uint32_t next = __atomic_load_n(&m->area->sessions, __ATOMIC_RELAXED) + 1;

	next += !next; /* 0 is none */
	__atomic_store_n(&m->area->sessions, next, __ATOMIC_RELAXED);
	m->session = next;
	return __atomic_compare_exchange_n((uint64_t *)(void *)&m->area->session, &was, (uint64_t)next, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* From nothing. */
static int begin_anew(struct woven_memory *m, uint32_t target, const struct woven_key *keys, size_t n,
		      const struct tsc_clock *clock, uint32_t chunks, struct chunk_pool *pool, struct err *err)
{
	struct woven_area *a = m->area;
	int r = quiet(m);
	bool any;

	if (r < 0)
		return err_set(err, r,
			       "a thread of the program stands still in the middle of a record; try again when it goes "
			       "on");
	give_back(m);
	chunks = MIN(chunks, m->layout.ring.chunks);
	m->layout.wanted_len = table_for(n);
	r = make_exist(m, m->layout.wanted_len, chunks);
	if (!r)
		r = make_marks_exist(m, keys, n, &any);
	if (r < 0) {
		give_back(m);
		return err_set(err, r, "there is no memory for the program's records: %s", strerror(-r));
	}
	a->all = a->fresh = a->thrown_away = 0;
	a->no_room = a->marks_full = a->ring.ring_full = 0;
	a->ring.free[0] = a->ring.free[1] = 0;
	a->ring.target = m->layout.ring.target = target;
	a->wanted_len = m->layout.wanted_len;
	set_clock(m, clock);
	r = want_all(m, keys, n, err);
	if (r < 0)
		return r;
	pool_init(pool, &a->ring, &m->layout.ring, (uint8_t *)a + m->layout.ring.pool_off, chunks);
	a->ring.on = 1;
	change_session(m, 0, 0);
	return 0;
}

/* Those that put themselves into the table, and that nobody asked for. */
static void unwant_others(const struct woven_memory *m, const struct woven_key *keys, size_t n)
{
	_cleanup_(cleanup_free) bool *wanted = xcalloc(m->layout.wanted_len, sizeof(*wanted));

	for (size_t i = 0; i < n; i++)
		wanted[*keys[i].ret_index] = true;
	for (uint32_t i = 0; i < m->layout.wanted_len; i++)
		if (!wanted[i] && woven_wanted_at(m, i)->key)
			__atomic_store_n(&woven_wanted_at(m, i)->every, 0, __ATOMIC_RELEASE);
}

/*
 * What the program has recorded so far is ours, and it goes on. -ESTALE: it does not, or has another clock; nothing was
 * changed that a new beginning does not change.
 */
static int go_on(struct woven_memory *m, uint32_t target, const struct woven_key *keys, size_t n,
		 const struct tsc_clock *clock, struct chunk_pool *pool)
{
	struct woven_area *a = m->area;
	/* each once: the program may change them between the check and the use */
	const uint32_t session = __atomic_load_n(&a->session, __ATOMIC_RELAXED);
	const uint32_t len = __atomic_load_n(&a->wanted_len, __ATOMIC_RELAXED);
	const uint64_t chunks = __atomic_load_n(&a->chunks_on, __ATOMIC_RELAXED);
	bool any;

	if (!a->fresh || !session || a->clock != (clock->monotonic ? WOVEN_MONOTONIC : WOVEN_TSC) ||
	    !power_of_two(len) || len > WOVEN_MAX_WANTED || !chunks || chunks > m->layout.ring.chunks)
		return -ESTALE;
	if (make_marks_exist(m, keys, n, &any) < 0)
		return -ESTALE;
	set_clock(m, clock);
	m->layout.wanted_len = len;
	if (want_all(m, keys, n, NULL) < 0 || !change_session(m, session, 1))
		return -ESTALE;
	unwant_others(m, keys, n);
	a->fresh = 0;
	a->ring.target = m->layout.ring.target = target;
	pool_take_over(pool, &a->ring, &m->layout.ring, (uint8_t *)a + m->layout.ring.pool_off, (uint32_t)chunks);
	return 0;
}

int woven_session_begin(struct woven_memory *m, uint32_t target, const struct woven_key *keys, size_t n,
			const struct tsc_clock *clock, uint32_t chunks, struct chunk_pool *pool, bool *ret_went_on,
			struct err *err)
{
	int r;

	if (n > WOVEN_MAX_WANTED / 4 * 3)
		return err_set(err, -E2BIG, "the program's recorder has no room for %zu probes", n);
	if (!clock->monotonic && !m->layout.can_tsc)
		return err_set(err, -EOPNOTSUPP,
			       "the program may not read the time-stamp counter, which is the clock of others here");
	r = go_on(m, target, keys, n, clock, pool);
	*ret_went_on = r == 0;
	if (r == -ESTALE)
		r = begin_anew(m, target, keys, n, clock, chunks, pool, err);
	if (r < 0)
		m->session = 0;
	else /* it may wait for us */
		syscall(SYS_futex, &m->area->fresh, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	return r;
}

void woven_memory_close(struct woven_memory *m)
{
	if (!m->area)
		return;
	woven_session_end(m);
	give_back(m);
	munmap(m->area, m->bytes);
	close_fd(m->fd); /* and its lock */
	*m = (struct woven_memory){.fd = -1};
}

/* ---- counts ---- */

uint64_t woven_records(const struct woven_memory *m)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < slots_of(m); i++)
		n += __atomic_load_n(&slot_at(m, i)->records, __ATOMIC_RELAXED);
	return n;
}

struct woven_tally woven_left_out(const struct woven_memory *m, uint32_t index)
{
	struct woven_tally sum = {0};

	for (uint32_t i = 0; i < slots_of(m); i++) {
		const char *tallies = (const char *)slot_at(m, i) + WOVEN_TALLY_OFF(&m->layout.ring);
		const struct woven_tally *t = (const struct woven_tally *)(const void *)tallies + index;

		sum.left_out += __atomic_load_n(&t->left_out, __ATOMIC_RELAXED);
		sum.starts += __atomic_load_n(&t->starts, __ATOMIC_RELAXED);
		sum.others += __atomic_load_n(&t->others, __ATOMIC_RELAXED);
	}
	return sum;
}
