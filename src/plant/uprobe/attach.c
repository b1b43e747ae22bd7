/*
 * The uprobe planter. One ring, one set of scratch memory, one table of losses for everything planted.
 * A program is loaded once for (binary, probe, site shape) and shared by the processes that run the
 * binary; a process and a probe have a link of their own with the kernel's PID filter. Everything hangs
 * on descriptors of this process: when it dies, however, the kernel removes the probes.
 */
#include "plant/uprobe/uprobe.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/caps.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/parallel.h"
#include "base/vec.h"
#include "plant/code_check.h"
#include "plant/uprobe/bpf.h"
#include "plant/uprobe/compile.h"
#include "plant/uprobe/planted.h"
#include "plant/uprobe/price.h"
#include "plant/uprobe/site.h"
#include "plant/uprobe/traced.h"
#include "plant/uprobe/writes.h"
#include "plant/verdict.h"
#include "target/process.h"

#define SAVED_ENTRIES 16384 /* goroutines with an open span; beyond that the oldest lose theirs */
#define RING_DEFAULT (4u << 20)
#define RING_MIN (64u << 10)  /* the largest record fits four times less one */
#define DRAIN_MAX 65536       /* records a call, so that a flood does not keep the caller from its timers */

struct program_key {
	uint64_t binary_key;
	uint32_t probe;
	int32_t sp_delta;
	uint32_t flags_skip;
	uint32_t returns;
};
_Static_assert(sizeof(struct program_key) == 24, "compared by its bytes");

struct program {
	struct program_key key;
	int fd;
	size_t refs;
	struct program *next; /* all of a planter */
};

struct attached { /* the sites of one shape */
	bool begins; /* linked last and removed first, or ends are missed */
	struct program *program;
	struct uprobe_links links;
};

struct plant {
	VEC(struct attached) parts;
	struct plant *next, *prev;
};

/* What a probe that could not be planted whole wrote until then. */
struct discarded {
	uint32_t target, probe;
	uint64_t until_ns; /* CLOCK_MONOTONIC, as in event_header */
};

struct uprobe_planter {
	struct planter planter;
	struct event_source source;
	struct uprobe_means means;
	struct uprobe_env env;
	struct uprobe_btf btf;
	const char *procfs;
	struct traced *traced;
	struct ring_buffer *ring;
	int epoll;
	unsigned cpus;
	uint32_t last_loss_key;
	const uint64_t (*losses)[LOSS_KERNEL_COUNT]; /* env.losses, mapped: they are asked for often */
	struct program *programs;
	struct plant plants; /* list head */
	void (*note)(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3); /* or NULL */
	void *note_arg;
	VEC(struct discarded) discarded;
	plant_event_fn fn;   /* while draining */
	void *fn_arg;
	int drained;
	uint64_t last_ns;    /* of the last record that was drained */
	bool priced;
	double price[PRICES];
};

static struct uprobe_planter *of_planter(struct planter *p)
{
	return CONTAINER_OF(p, struct uprobe_planter, planter);
}

static struct uprobe_planter *of_source(struct event_source *s)
{
	return CONTAINER_OF(s, struct uprobe_planter, source);
}

/* ---- programs ---- */

static void program_unref(struct uprobe_planter *p, struct program *prog)
{
	struct program **at = &p->programs;

	if (!prog || --prog->refs)
		return;
	while (*at != prog)
		at = &(*at)->next;
	*at = prog->next;
	close_fd(prog->fd);
	free(prog);
}

/* Of the planter's programs, or a new one without code (fd is -1). */
static struct program *program_ref(struct uprobe_planter *p, const struct program_key *key)
{
	struct program *prog = p->programs;

	while (prog && memcmp(&prog->key, key, sizeof(*key)))
		prog = prog->next;
	if (!prog) {
		prog = xcalloc(1, sizeof(*prog));
		*prog = (struct program){.key = *key, .fd = -1, .next = p->programs};
		p->programs = prog;
	}
	prog->refs++;
	return prog;
}

/* ---- plants ---- */

static void plant_free(struct uprobe_planter *p, struct plant *pl)
{
	for (size_t i = 0; i < pl->parts.len; i++)
		program_unref(p, pl->parts.data[i].program);
	vec_done(&pl->parts);
	if (pl->prev) {
		pl->prev->next = pl->next;
		pl->next->prev = pl->prev;
	}
	free(pl);
}

static void unlink_parts(struct plant *const *plants, size_t n, bool begins)
{
	VEC(struct uprobe_links *) links = {0};

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; plants[i] && k < plants[i]->parts.len; k++)
			if (plants[i]->parts.data[k].begins == begins)
				vec_push(&links, &plants[i]->parts.data[k].links);
	uprobe_links_done_all(links.data, links.len);
	vec_done(&links);
}

static void uprobe_remove(struct planter *planter, struct plant *const *plants, size_t n)
{
	struct uprobe_planter *p = of_planter(planter);

	unlink_parts(plants, n, true);
	unlink_parts(plants, n, false);
	for (size_t i = 0; i < n; i++)
		if (plants[i])
			plant_free(p, plants[i]);
}

static bool same_shape(const struct site *a, const struct site *b)
{
	const struct uprobe_site *x = uprobe_site_of(a), *y = uprobe_site_of(b);

	return x->sp_delta == y->sp_delta && x->flags_skip == y->flags_skip &&
	       (a->price == PRICE_RETURN) == (b->price == PRICE_RETURN);
}

static bool shape_seen(const struct plant_probe *probe, const struct site *site)
{
	for (const struct site *s = probe->sites; s != site; s = s->next)
		if (same_shape(s, site))
			return true;
	return false;
}

/*
 * Planting. Programs are loaded side by side, since the kernel's verifier takes milliseconds for each; a part is
 * one thread's own meanwhile. Then they are linked one right after the other: only the first link waits for the
 * kernel's readers, as long as no other work comes between (percpu-rwsem in uprobe_register), and the rest take
 * 20 µs each. Threads would queue for the same locks.
 *
 * What fails takes its group with it: before the first link what was not loaded, before the first that begins a call or
 * a span what could not be linked. Only the links that come last can fail when others of their group are live already;
 * what those wrote is discarded.
 */
#define LOAD_THREADS 15 /* at most; one a CPU */

struct attach_part { /* a part */
	struct attached *attached;
	size_t index;     /* of its probe */
	const struct plant_probe *probe;
	const struct site *first; /* of its shape */
	bool loads;       /* its program is new */
	int r;
	struct err err;
};

struct attach_job {
	struct uprobe_planter *p;
	const struct plant_target *t;
	uint64_t cookie;
	bool returns;     /* programs run the RET that they are on */
	struct verdicts verdicts;
	VEC(struct attach_part) parts;
};

static struct site_shape site_shape_of(const struct attach_job *job, const struct site *s)
{
	const struct uprobe_site *u = uprobe_site_of(s);

	return (struct site_shape){u->sp_delta, u->flags_skip, job->returns && s->price == PRICE_RETURN};
}

static void load_part(void *arg, size_t i)
{
	struct attach_job *job = arg;
	struct attach_part *part = &job->parts.data[i];
	const struct plant_probe *probe = part->probe;
	const struct site_shape shape = site_shape_of(job, part->first);
	_cleanup_(emit_done) struct emit code = {0};

	struct uprobe_env env = job->p->env;

	if (!part->loads)
		return;
	traced_env(job->p->traced, probe, job->t->binary_key, &env);
	part->r = uprobe_compile(probe->program, probe->id, &shape, &env, &code, &part->err);
	if (part->r >= 0)
		part->r = uprobe_prog_load_code(&job->p->means, probe->label, &code, &job->p->btf, &part->err);
	if (part->r >= 0)
		part->attached->program->fd = part->r;
}

/* For all processes: in one of them, our own, it can be seen. */
static int link_everywhere(const struct uprobe_means *m, int prog, const struct uprobe_places *at,
			   struct uprobe_links *ret, struct err *err)
{
	struct uprobe_links links = {0};
	struct uprobe_view view;
	int r = uprobe_view_open(at, &view, err);

	if (r)
		return r;
	r = uprobe_link(m, prog, at, &links, err);
	if (!r)
		r = uprobe_view_check(&view, at, err);
	if (r)
		uprobe_links_done(&links);
	else
		*ret = links;
	uprobe_view_done(&view);
	return r;
}

static void link_part(struct attach_job *job, struct attach_part *part)
{
	const struct plant_probe *probe = part->probe;
	struct uprobe_places at = {.path = job->t->path, .cookie = job->cookie, .pid = job->t->pid};
	VEC(uint64_t) offsets = {0}, semaphores = {0};
	bool listens = false;
	int prog = part->attached->program->fd;

	for (const struct site *s = part->first; s; s = s->next)
		if (same_shape(part->first, s)) {
			vec_push(&offsets, uprobe_site_of(s)->offset);
			vec_push(&semaphores, uprobe_site_of(s)->semaphore);
			listens |= uprobe_site_of(s)->semaphore != 0;
		}
	at.offsets = offsets.data;
	at.semaphores = listens ? semaphores.data : NULL;
	at.n = offsets.len;
	if (prog < 0)
		part->r = err_set(&part->err, -EINVAL, "%s is planted twice, and cannot be", probe->label);
	else if (!at.pid)
		part->r = link_everywhere(&job->p->means, prog, &at, &part->attached->links, &part->err);
	else
		part->r = uprobe_link(&job->p->means, prog, &at, &part->attached->links, &part->err);
	vec_done(&offsets);
	vec_done(&semaphores);
}

/* A plant with its parts, none of them in place. */
static struct plant *plant_new(struct attach_job *job, size_t index)
{
	const struct plant_probe *probe = &job->verdicts.probes[index];
	struct plant *pl = xcalloc(1, sizeof(*pl));
	size_t before = job->parts.len;

	for (const struct site *s = probe->sites; s; s = s->next) {
		const struct site_shape shape = site_shape_of(job, s);
		const struct program_key key = {job->t->binary_key, probe->id, shape.sp_delta, shape.flags_skip,
						shape.returns};
		struct program *prog;

		if (shape_seen(probe, s))
			continue;
		prog = program_ref(job->p, &key);
		vec_push(&pl->parts, ((struct attached){.begins = probe->begins, .program = prog}));
		vec_push(&job->parts, ((struct attach_part){.index = index, .probe = probe, .first = s,
							 .loads = prog->refs == 1}));
	}
	for (size_t i = 0; i < pl->parts.len; i++)
		job->parts.data[before + i].attached = &pl->parts.data[i];
	job->p->last_loss_key = MAX(job->p->last_loss_key, loss_key(probe->id));
	return pl;
}

static void plant_keep(struct uprobe_planter *p, struct plant *pl)
{
	pl->next = p->plants.next;
	pl->prev = &p->plants;
	pl->next->prev = p->plants.next = pl;
}

static void refuse_failed(struct attach_job *job)
{
	for (size_t i = 0; i < job->parts.len; i++)
		if (job->parts.data[i].r < 0)
			verdict_refuse(&job->verdicts, job->parts.data[i].index, &job->parts.data[i].err);
}

static void link_parts(struct attach_job *job, bool begins)
{
	if (!verdict_any_useful(&job->verdicts))
		return;
	for (size_t i = 0; i < job->parts.len; i++)
		if (job->parts.data[i].attached->begins == begins && !job->verdicts.refused[job->parts.data[i].index])
			link_part(job, &job->parts.data[i]);
	refuse_failed(job);
}

/* Their probes are out: nobody writes any more. */
static void discard(struct attach_job *job, const size_t *probes, size_t n)
{
	struct uprobe_planter *p = job->p;

	for (size_t i = 0; i < n; i++) {
		uint32_t id = job->verdicts.probes[probes[i]].id;

		vec_push(&p->discarded, ((struct discarded){job->t->id, id, clock_monotonic_ns()}));
		traced_discard(p->traced, job->t->id, id);
	}
}

/* Keeps what is not refused, and takes out again what is. Returns how many are kept. */
static int keep_or_take_out(struct attach_job *job, struct plant **plants)
{
	VEC(struct plant *) failed = {0};
	VEC(size_t) indexes = {0};
	int planted = 0;

	for (size_t i = 0; i < job->verdicts.n; i++) {
		if (!plants[i])
			continue;
		if (!job->verdicts.refused[i]) {
			plant_keep(job->p, plants[i]);
			planted++;
			continue;
		}
		vec_push(&failed, TAKE(plants[i]));
		vec_push(&indexes, i);
	}
	uprobe_remove(&job->p->planter, failed.data, failed.len);
	discard(job, indexes.data, indexes.len);
	vec_done(&failed);
	vec_done(&indexes);
	return planted;
}

/* The table of marks, once there is one. */
static int make_marks(struct uprobe_planter *p, struct err *err)
{
	if (p->env.marks >= 0)
		return 0;
	p->env.mark_sets = MARK_SETS;
	p->env.marks = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(struct mark_set), MARK_SETS, err);
	return MIN(p->env.marks, 0);
}

/* Likewise of tracestates, with the rules for what one is. */
static int make_states(struct uprobe_planter *p, struct err *err)
{
	struct mark_state first = {0};
	const uint32_t zero = 0;

	if (p->env.states >= 0)
		return 0;
	p->env.states = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(first), 1 + MARK_STATES, err);
	if (p->env.states < 0)
		return p->env.states;
	tracestate_rules((struct tracestate_rules *)first.text);
	if (bpf_map_update_elem(p->env.states, &zero, &first, BPF_ANY) < 0)
		return err_set(err, -errno, "a BPF array cannot be written to: %s", strerror(errno));
	return 0;
}

static int prepare_probe(struct attach_job *job, const struct plant_probe *probe, struct err *err)
{
	struct uprobe_planter *p = job->p;
	int r;

	r = cookie_pack(job->t->id, job->t->bias, &job->cookie, err);
	if (r == 0 && capture_has_marks(probe->program))
		r = make_marks(p, err);
	if (r == 0 && (capture_has(probe->program, IR_MARK_STATE) || capture_has(probe->program, IR_MARK_WORD)))
		r = make_states(p, err);
	return r ? r : traced_prepare(p->traced, &p->env, &p->btf, probe, job->t->binary_key, err);
}

/* Of the file's processes one had its probes put in before: the kernel may have copied their breakpoints (fork). */
static bool is_planted(const struct uprobe_planter *p, uint64_t binary_key)
{
	const struct program *prog = p->programs;

	while (prog && prog->key.binary_key != binary_key)
		prog = prog->next;
	return prog;
}

/* Code that is not the file's is refused. Another's uprobe works beside ours. */
static void check_code(struct attach_job *job)
{
	const struct uprobe_planter *p = job->p;
	size_t first = 0, n = code_check_sites(job->t, &job->verdicts, &first);

	if (n && p->note && !is_planted(p, job->t->binary_key))
		p->note(p->note_arg,
			"process %d: another tool has a breakpoint where %s is to be probed%s (a uprobe of bpftrace, "
			"OBI, Datadog or another earshot, or a debugger's): both see the calls, and the program pays "
			"for both",
			job->t->pid, job->verdicts.probes[first].label, n > 1 ? ", and at other probes" : "");
}

static int uprobe_plant(struct planter *planter, const struct plant_target *t, const struct plant_probe *probes,
			size_t n, struct plant **ret, struct err *errs)
{
	struct uprobe_planter *p = of_planter(planter);
	/* Of all processes that map the file, nobody can tell whether one has a shadow stack. */
	const bool returns = p->means.returns && t->pid && !process_has_shadow_stack(p->procfs, t->pid);
	struct attach_job job = {.p = p, .t = t, .returns = returns};
	int r;

	verdicts_init(&job.verdicts, probes, n, errs);
	verdicts_refuse_unlocated(&job.verdicts);
	check_code(&job);
	for (size_t i = 0; i < n; i++)
		traced_know(p->traced, &probes[i], t->binary_key);
	for (size_t i = 0; i < n; i++) {
		struct err err = {0};

		ret[i] = NULL;
		if (job.verdicts.refused[i])
			continue;
		if (prepare_probe(&job, &probes[i], &err) < 0)
			verdict_refuse(&job.verdicts, i, &err);
	}
	for (size_t i = 0; i < n; i++)
		if (!job.verdicts.refused[i])
			ret[i] = plant_new(&job, i);
	parallel_each(job.parts.len, MIN(LOAD_THREADS, p->cpus - 1), load_part, &job);
	refuse_failed(&job);
	link_parts(&job, false);
	link_parts(&job, true);
	r = keep_or_take_out(&job, ret);
	verdicts_done(&job.verdicts);
	vec_done(&job.parts);
	return r;
}

/*
 * Its number and load bias are in the cookies of its links: only its open calls, and what is not to be told, are kept.
 */
static void uprobe_forget_target(struct event_source *s, uint32_t target)
{
	struct uprobe_planter *p = of_source(s);
	size_t kept = 0;

	traced_forget(p->traced, target);
	for (size_t i = 0; i < p->discarded.len; i++)
		if (p->discarded.data[i].target != target)
			p->discarded.data[kept++] = p->discarded.data[i];
	p->discarded.len = kept;
}

/* ---- opening and closing ---- */

#define LOSSES_BYTES (LOSS_PROBES * sizeof(uint64_t[LOSS_KERNEL_COUNT]))

static int make_losses(struct uprobe_planter *p, struct err *err)
{
	void *at;

	p->env.losses = uprobe_mapped_array_create(sizeof(*p->losses), LOSS_PROBES, err);
	if (p->env.losses < 0)
		return p->env.losses;
	at = mmap(NULL, LOSSES_BYTES, PROT_READ, MAP_SHARED, p->env.losses, 0);
	if (at == MAP_FAILED)
		return err_set(err, -errno, "a BPF array cannot be mapped: %s", strerror(errno));
	p->losses = at;
	return 0;
}

static int make_maps(struct uprobe_planter *p, size_t ring_bytes, struct err *err)
{
	struct uprobe_env *e = &p->env;
	int r;

	e->ring_bytes = ring_bytes;
	e->faults_in = p->means.faults_in;
	e->private_stack = p->means.private_stack;
	e->ring = uprobe_map_create(BPF_MAP_TYPE_RINGBUF, "ring buffer", 0, 0, (uint32_t)ring_bytes, err);
	if (e->ring < 0)
		return e->ring;
	e->scratch_per_cpu = p->cpus > 64 ? 2 : 4;
	e->scratch = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(struct scratch),
				       p->cpus * e->scratch_per_cpu, err);
	if (e->scratch < 0)
		return e->scratch;
	r = make_losses(p, err);
	if (r < 0)
		return r;
	e->saved = uprobe_map_create(BPF_MAP_TYPE_LRU_HASH, "LRU hash map", sizeof(struct saved_key),
				     sizeof(struct saved_words), SAVED_ENTRIES, err);
	return e->saved < 0 ? e->saved : 0;
}

static bool of_discarded(const struct uprobe_planter *p, const struct event_header *h)
{
	for (size_t i = 0; i < p->discarded.len; i++) {
		const struct discarded *d = &p->discarded.data[i];

		if (d->probe == h->probe && d->target == h->target && h->time_ns <= d->until_ns)
			return true;
	}
	return false;
}

/* Of a sample any record: whoever unwinds a call is another probe than its entry. */
static bool is_discarded(const struct uprobe_planter *p, const void *sample, size_t size)
{
	const char *at = sample;
	struct event_header h;

	for (; size >= sizeof(h); at += h.size, size -= h.size) {
		memcpy(&h, at, sizeof(h));
		if (of_discarded(p, &h))
			return true;
		if (h.size < sizeof(h) || h.size > size)
			break;
	}
	return false;
}

static int on_record(void *arg, void *data, size_t size)
{
	struct uprobe_planter *p = arg;

	if (size >= sizeof(struct event_header))
		memcpy(&p->last_ns, (const char *)data + offsetof(struct event_header, time_ns), sizeof(p->last_ns));
	if (!p->discarded.len || !is_discarded(p, data, size))
		p->fn(p->fn_arg, data, size);
	return ++p->drained < DRAIN_MAX ? 0 : -ECANCELED;
}

/*
 * Edge-triggered, in an epoll instance of its own: a ring with anything in it counts as readable, so the
 * caller's loop would spin from the first wakeup on until the ring is seen empty.
 */
static int open_ring(struct uprobe_planter *p, struct err *err)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};

	p->ring = ring_buffer__new(p->env.ring, on_record, p, NULL);
	if (!p->ring)
		return err_set(err, -errno, "the BPF ring buffer cannot be mapped: %s", strerror(errno));
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (p->epoll < 0 || epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->env.ring, &ev) < 0)
		return err_set(err, -errno, "the BPF ring buffer cannot be waited for: %s",
			       strerror(errno));
	return 0;
}

/* A link is a descriptor, and there is one for each process and probe. */
static void raise_file_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static void remove_all(struct uprobe_planter *p)
{
	VEC(struct plant *) all = {0};

	for (struct plant *pl = p->plants.next; pl != &p->plants; pl = pl->next)
		vec_push(&all, pl);
	uprobe_remove(&p->planter, all.data, all.len);
	vec_done(&all);
}

static void planter_free(struct uprobe_planter *p)
{
	if (!p)
		return;
	remove_all(p);
	ring_buffer__free(p->ring);
	close_fd(p->epoll);
	close_fd(p->env.ring);
	close_fd(p->env.scratch);
	if (p->losses)
		munmap((void *)(uintptr_t)p->losses, LOSSES_BYTES);
	close_fd(p->env.losses);
	close_fd(p->env.saved);
	close_fd(p->env.marks);
	close_fd(p->env.states);
	traced_free(p->traced);
	vec_done(&p->discarded);
	free(p);
}
DEFINE_CLEANUP(struct uprobe_planter *, planter, planter_free)

static void uprobe_close(struct planter *p)
{
	planter_free(of_planter(p));
}

static int ring_size(size_t asked, size_t *ret, struct err *err)
{
	size_t n = asked ? asked : RING_DEFAULT;

	if (n & (n - 1) || n < RING_MIN || n > (1u << 30))
		return err_set(err, -EINVAL,
			       "a ring of %zu bytes: expected a power of two from 64 KiB to 1 GiB", n);
	*ret = n;
	return 0;
}

/* ---- what comes back ---- */

static int uprobe_fd(struct event_source *s)
{
	struct uprobe_planter *p = of_source(s);

	return p->epoll;
}

static int uprobe_drain(struct event_source *s, plant_event_fn fn, void *arg)
{
	struct uprobe_planter *p = of_source(s);
	struct epoll_event ev;
	int r;

	p->fn = fn;
	p->fn_arg = arg;
	p->drained = 0;
	(void)epoll_wait(p->epoll, &ev, 1, 0); /* takes the edge */
	r = ring_buffer__consume(p->ring);
	return r < 0 && r != -ECANCELED ? r : p->drained;
}

/* What a flood has left in the ring is newer. */
static uint64_t uprobe_complete_ns(struct event_source *s)
{
	struct uprobe_planter *p = of_source(s);

	return p->drained < DRAIN_MAX ? UINT64_MAX : p->last_ns;
}

static void add_losses(const struct uprobe_planter *p, uint32_t key, struct losses *ret)
{
	for (size_t i = 0; i < LOSS_KERNEL_COUNT; i++)
		ret->count[i == LOSS_LEFT_OUT ? LOSS_SAMPLED_OUT : i] +=
			__atomic_load_n(&p->losses[key][i], __ATOMIC_RELAXED);
}

static void uprobe_losses(struct event_source *s, struct losses *ret)
{
	struct uprobe_planter *p = of_source(s);

	for (uint32_t key = 0; key <= p->last_loss_key; key++)
		add_losses(p, key, ret);
}

static void uprobe_probe_losses(struct event_source *s, uint32_t probe_id, struct losses *ret)
{
	struct uprobe_planter *p = of_source(s);

	if (loss_key(probe_id))
		add_losses(p, loss_key(probe_id), ret);
}

static double uprobe_price_ns(struct planter *planter, unsigned price)
{
	struct uprobe_planter *p = of_planter(planter);

	if (!p->priced)
		price_measure(&p->means, p->price);
	p->priced = true;
	return price < PRICES ? p->price[price] : 0;
}

struct open_calls {
	const struct uprobe_planter *p;
	plant_event_fn fn;
	void *arg;
	int n;
};

static void on_open_call(void *arg, const void *sample, size_t size)
{
	struct open_calls *o = arg;

	if (is_discarded(o->p, sample, size))
		return;
	o->fn(o->arg, sample, size);
	o->n++;
}

static int uprobe_open_calls(struct event_source *s, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	struct uprobe_planter *p = of_source(s);
	struct open_calls o = {p, fn, arg, 0};

	traced_open_calls(p->traced, target, take, fn ? on_open_call : NULL, &o);
	return o.n;
}

static int uprobe_control(struct event_source *s, uint32_t probe_id, const struct plant_control *c)
{
	struct uprobe_planter *p = of_source(s);

	return traced_control(p->traced, probe_id, c);
}

static uint64_t uprobe_hits(struct event_source *s, uint32_t probe_id)
{
	struct uprobe_planter *p = of_source(s);

	return traced_hits(p->traced, probe_id);
}

static int uprobe_aggregates(struct event_source *s, bool clear, plant_group_fn fn, void *arg)
{
	struct uprobe_planter *p = of_source(s);

	return traced_aggregates(p->traced, clear, fn, arg);
}

static const struct event_source_ops uprobe_source = {
	.fd = uprobe_fd,
	.drain = uprobe_drain,
	.complete_ns = uprobe_complete_ns,
	.losses = uprobe_losses,
	.probe_losses = uprobe_probe_losses,
	.forget_target = uprobe_forget_target,
	.control = uprobe_control,
	.hits = uprobe_hits,
	.aggregates = uprobe_aggregates,
	.open_calls = uprobe_open_calls,
};

static bool uprobe_is_dear(struct planter *planter, const struct site *s)
{
	return s->price == PRICE_STEPPED || (s->price == PRICE_RETURN && !of_planter(planter)->means.returns);
}

/* ---- the planter ---- */

static int uprobe_open(const struct planter_options *o, struct planter **ret, struct err *err)
{
	_cleanup_(cleanup_planter) struct uprobe_planter *p = xcalloc(1, sizeof(*p));
	size_t ring_bytes = 0;
	int cpus = libbpf_num_possible_cpus();
	int r = ring_size(o ? o->ring_bytes : 0, &ring_bytes, err);

	p->planter = (struct planter){&planter_uprobe, &p->source};
	p->source.ops = &uprobe_source;
	p->plants.next = p->plants.prev = &p->plants;
	p->epoll = p->env.ring = p->env.scratch = p->env.losses = p->env.saved = -1;
	p->env.calls = p->env.big_calls = p->env.marks = p->env.states = p->btf.fd = -1;
	p->procfs = o && o->procfs ? o->procfs : "/proc";
	p->traced = traced_new(o);
	p->note = o ? o->note : NULL;
	p->note_arg = o ? o->note_arg : NULL;
	p->cpus = cpus > 0 ? (unsigned)cpus : 1;
	if (r == 0)
		r = uprobe_check_caps(err);
	if (r == 0)
		r = uprobe_means_detect((getenv("EARSHOT_NO_MULTI") ? MEANS_NO_MULTI : 0) |
						(getenv("EARSHOT_NO_FAULTS") ? MEANS_NO_FAULTS : 0),
					&p->means, err);
	if (r == 0)
		r = make_maps(p, ring_bytes, err);
	if (r == 0)
		r = open_ring(p, err);
	if (r < 0)
		return r;
	raise_file_limit();
	*ret = &TAKE(p)->planter;
	return 0;
}

/* ---- what this machine allows ---- */

/* CAP_SYS_ADMIN holds what BPF and PERFMON were split from in 5.8. */
static void check_capabilities(const struct planter_report *r)
{
	static const struct {
		const char *name, *what;
		int bit;
		bool needed;
	} capabilities[] = {
		{"CAP_BPF", "to load probe programs", CAP_BPF, true},
		{"CAP_PERFMON", "to attach them and read user memory", CAP_PERFMON, true},
		{"CAP_SYS_PTRACE", "to observe other users' processes", CAP_SYS_PTRACE, false},
	};
	uint64_t effective = caps_effective();

	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++) {
		bool has = caps_have(effective, capabilities[i].bit) || caps_have(effective, CAP_SYS_ADMIN);

		r->check(r->arg, capabilities[i].name, has, capabilities[i].needed, capabilities[i].what);
	}
}

/* perf_event_open of a uprobe was seen to want CAP_SYS_ADMIN on 6.1 and 6.18 whatever perf_event_paranoid says. */
static void check_links(const struct planter_report *r, bool multi)
{
	bool admin = caps_have(caps_effective(), CAP_SYS_ADMIN);

	if (multi) {
		r->check(r->arg, "uprobe_multi", true, false, "one link plants all sites of a probe");
		return;
	}
	r->check(r->arg, "uprobe_multi", false, false, "this kernel links each site by itself; attaching is slower");
	r->check(r->arg, "CAP_SYS_ADMIN", admin, true, "to put a probe into a program without uprobe_multi");
}

static void check_loops(const struct planter_report *r)
{
	bool loops = uprobe_loops_work();

	r->check(r->arg, "bpf_loop", loops, false,
		 loops ? "calls can be traced, and whole structures read"
		       : "not here (Linux 5.17): `earshot trace` needs it to pair calls and to read structures; spans "
			 "do without");
}

static void check_returns(const struct planter_report *r, bool work)
{
	r->check(r->arg, "returns", work, false,
		 work ? "probes run the return instruction that they are on"
		      : "the kernel single-steps a return under a probe (Linux 6.19 need not), which makes results "
			"dear; --planter patch has no such price");
}

static void check_writes(const struct planter_report *r)
{
	struct err err = {0};
	bool may = uprobe_writes_check(&err) == 0;

	r->check(r->arg, "writing", may, false,
		 may ? "probes may write into programs, as they must to send a trace's ids on" : err.text);
}

static const struct price_class uprobe_prices[] = {
	[PRICE_EMULATED] = {"emulated", "emulated, cheap", "on push, jump, call (most entries)"},
	[PRICE_NOP5] = {"nop5", "nop, cheap on Linux 6.18", "on a 5-byte nop"},
	[PRICE_STEPPED] = {"stepped", "single-stepped, expensive", "on any other instruction"},
	[PRICE_RETURN] = {"return", "expensive before Linux 6.19", "on a function's return"},
};

static void uprobe_check(const struct planter_report *r)
{
	struct planter_options o = {.procfs = "/proc"};
	struct planter *p = NULL;
	struct err err = {0};

	check_capabilities(r);
	if (uprobe_open(&o, &p, &err) < 0) {
		r->check(r->arg, "uprobes", false, true, err.text);
	} else {
		r->check(r->arg, "uprobes", true, true, "probe programs load, the event ring works");
		check_links(r, of_planter(p)->means.multi);
		check_loops(r);
		check_returns(r, of_planter(p)->means.returns);
	}
	check_writes(r);
	for (unsigned i = 0; i < PRICES; i++)
		r->price(r->arg, &uprobe_prices[i], p ? uprobe_price_ns(p, i) : 0);
	planter_close(p);
}

const struct planter_ops planter_uprobe = {
	.name = "uprobe",
	.means = "uprobes",
	.caps = {.follows_contexts = true, .injects = true, .carries_states = true, .keeps_marks = true,
		 .kernel_clock = true, .probes_any = true},
	.cheaper = "patch",
	.doing = "planting uprobes",
	.prices = uprobe_prices,
	.prices_title = "what one hit of a uprobe costs the observed program here",
	.open = uprobe_open,
	.close = uprobe_close,
	.plant = uprobe_plant,
	.remove = uprobe_remove,
	.price_ns = uprobe_price_ns,
	.is_dear = uprobe_is_dear,
	.locate = uprobe_locate,
	.locate_place = uprobe_locate_place,
	.check = uprobe_check,
};
