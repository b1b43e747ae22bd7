/*
 * The uprobe planter. One ring, one set of scratch memory, one table of losses for everything planted.
 * A program is loaded once for (binary, probe, site shape) and shared by the processes that run the
 * binary; a process and a probe have a link of their own with the kernel's PID filter. Everything hangs
 * on descriptors of this process: when it dies, however, the kernel removes the probes.
 */
#include "plant/plant.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/map.h"
#include "base/vec.h"
#include "plant/uprobe/bpf.h"
#include "plant/uprobe/compile.h"
#include "plant/uprobe/price.h"

#define SAVED_ENTRIES 16384 /* goroutines with an open span; beyond that the oldest lose theirs */
#define RING_DEFAULT (4u << 20)
#define RING_MIN (64u << 10)  /* the largest record fits four times less one */
#define DRAIN_MAX 65536       /* records a call, so that a flood does not keep the caller from its timers */

struct program_key {
	uint64_t binary_key;
	uint32_t probe;
	int32_t sp_delta;
	uint64_t flags_skip;
};
_Static_assert(sizeof(struct program_key) == 24, "compared by its bytes");

struct program {
	struct program_key key;
	int fd;
	size_t refs;
	struct program *next; /* all of a planter */
};

struct attached { /* the sites of one shape */
	struct program *program;
	struct uprobe_links links;
};

struct plant {
	VEC(struct attached) parts;
	struct plant *next, *prev;
};

struct planter {
	struct uprobe_means means;
	struct uprobe_env env;
	struct ring_buffer *ring;
	int epoll;
	unsigned cpus;
	uint32_t last_loss_key;
	struct program *programs;
	struct plant plants; /* list head */
	plant_event_fn fn;   /* while draining */
	void *fn_arg;
	int drained;
	bool priced;
	double price[PRICE_STEPPED + 1];
};

/* ---- programs ---- */

static void program_unref(struct planter *p, struct program *prog)
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

static int program_load(struct planter *p, const struct plant_probe *probe,
			const struct site_shape *shape, struct err *err)
{
	_cleanup_(emit_done) struct emit code = {0};
	int r = uprobe_compile(probe->program, probe->id, shape, &p->env, &code, err);

	p->last_loss_key = MAX(p->last_loss_key, loss_key(probe->id));
	if (r < 0)
		return r;
	return uprobe_prog_load(&p->means, probe->label, code.code.data, code.code.len, err);
}

static int program_ref(struct planter *p, uint64_t binary_key, const struct plant_probe *probe,
		       const struct site_shape *shape, struct program **ret, struct err *err)
{
	const struct program_key key = {binary_key, probe->id, shape->sp_delta, shape->flags_skip};
	struct program *prog = p->programs;
	int fd;

	while (prog && memcmp(&prog->key, &key, sizeof(key)))
		prog = prog->next;
	if (!prog) {
		fd = program_load(p, probe, shape, err);
		if (fd < 0)
			return fd;
		prog = xcalloc(1, sizeof(*prog));
		*prog = (struct program){.key = key, .fd = fd, .next = p->programs};
		p->programs = prog;
	}
	prog->refs++;
	*ret = prog;
	return 0;
}

/* ---- plants ---- */

static void plant_free(struct planter *p, struct plant *pl)
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

static void uprobe_remove(struct planter *p, struct plant *const *plants, size_t n)
{
	VEC(struct uprobe_links *) links = {0};

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; plants[i] && k < plants[i]->parts.len; k++)
			vec_push(&links, &plants[i]->parts.data[k].links);
	uprobe_links_done_all(links.data, links.len);
	vec_done(&links);
	for (size_t i = 0; i < n; i++)
		if (plants[i])
			plant_free(p, plants[i]);
}

static bool same_shape(const struct site *a, const struct site *b)
{
	return a->sp_delta == b->sp_delta && a->flags_skip == b->flags_skip;
}

static bool shape_seen(const struct plant_probe *probe, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_shape(&probe->sites[k], &probe->sites[i]))
			return true;
	return false;
}

/* Attaches the sites that have the shape of site first. */
static int attach_shape(struct planter *p, const struct plant_target *t, uint64_t cookie,
			const struct plant_probe *probe, size_t first, struct plant *pl, struct err *err)
{
	const struct site *model = &probe->sites[first];
	const struct site_shape shape = {model->sp_delta, model->flags_skip};
	_cleanup_(cleanup_free) uint64_t *offsets = xcalloc(probe->nsites, sizeof(*offsets));
	struct attached *part = vec_add(&pl->parts);
	size_t n = 0;
	int r = program_ref(p, t->binary_key, probe, &shape, &part->program, err);

	if (r < 0)
		return r;
	for (size_t i = first; i < probe->nsites; i++)
		if (same_shape(model, &probe->sites[i]))
			offsets[n++] = probe->sites[i].offset;
	return uprobe_link(&p->means, part->program->fd, t->path, offsets, n, cookie, t->pid,
			   &part->links, err);
}

static int plant_one(struct planter *p, const struct plant_target *t, const struct plant_probe *probe,
		     struct plant **ret, struct err *err)
{
	struct plant *pl;
	uint64_t cookie;
	int r = cookie_pack(t->id, t->bias, &cookie, err);

	if (r < 0)
		return r;
	if (!probe->nsites)
		return err_set(err, -EINVAL, "%s has no site to put a probe at", probe->label);
	pl = xcalloc(1, sizeof(*pl));
	for (size_t i = 0; i < probe->nsites && r == 0; i++)
		if (!shape_seen(probe, i))
			r = attach_shape(p, t, cookie, probe, i, pl, err);
	if (r < 0) {
		uprobe_remove(p, &pl, 1);
		return r;
	}
	pl->next = p->plants.next;
	pl->prev = &p->plants;
	pl->next->prev = p->plants.next = pl;
	*ret = pl;
	return 0;
}

static int uprobe_plant(struct planter *p, const struct plant_target *t, const struct plant_probe *probes,
			size_t n, struct plant **ret, struct err *errs)
{
	int planted = 0;

	for (size_t i = 0; i < n; i++) {
		ret[i] = NULL;
		if (plant_one(p, t, &probes[i], &ret[i], errs ? &errs[i] : NULL) == 0)
			planted++;
	}
	return planted;
}

/* Nothing is kept by process: its number and load bias are in the cookies of its links. */
static void uprobe_forget_target(struct planter *p, uint32_t target)
{
}

/* ---- opening and closing ---- */

static int make_maps(struct planter *p, size_t ring_bytes, struct err *err)
{
	struct uprobe_env *e = &p->env;

	e->ring_bytes = ring_bytes;
	e->ring = uprobe_map_create(BPF_MAP_TYPE_RINGBUF, "ring buffer", 0, 0, (uint32_t)ring_bytes, err);
	if (e->ring < 0)
		return e->ring;
	e->scratch_per_cpu = p->cpus > 64 ? 2 : 4;
	e->scratch = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, sizeof(struct scratch),
				       p->cpus * e->scratch_per_cpu, err);
	if (e->scratch < 0)
		return e->scratch;
	e->losses = uprobe_map_create(BPF_MAP_TYPE_ARRAY, "array", 4, 8 * LOSS_KERNEL_COUNT, LOSS_PROBES, err);
	if (e->losses < 0)
		return e->losses;
	e->saved = uprobe_map_create(BPF_MAP_TYPE_LRU_HASH, "LRU hash map", sizeof(struct saved_key),
				     sizeof(struct saved_words), SAVED_ENTRIES, err);
	return e->saved < 0 ? e->saved : 0;
}

static int on_record(void *arg, void *data, size_t size)
{
	struct planter *p = arg;

	p->fn(p->fn_arg, data, size);
	return ++p->drained < DRAIN_MAX ? 0 : -ECANCELED;
}

/*
 * Edge-triggered, in an epoll instance of its own: a ring with anything in it counts as readable, so the
 * caller's loop would spin from the first wakeup on until the ring is seen empty.
 */
static int open_ring(struct planter *p, struct err *err)
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

static void remove_all(struct planter *p)
{
	VEC(struct plant *) all = {0};

	for (struct plant *pl = p->plants.next; pl != &p->plants; pl = pl->next)
		vec_push(&all, pl);
	uprobe_remove(p, all.data, all.len);
	vec_done(&all);
}

static void uprobe_close(struct planter *p)
{
	if (!p)
		return;
	remove_all(p);
	ring_buffer__free(p->ring);
	close_fd(p->epoll);
	close_fd(p->env.ring);
	close_fd(p->env.scratch);
	close_fd(p->env.losses);
	close_fd(p->env.saved);
	free(p);
}
DEFINE_CLEANUP(struct planter *, planter, uprobe_close)

static int ring_size(size_t asked, size_t *ret, struct err *err)
{
	size_t n = asked ? asked : RING_DEFAULT;

	if (n & (n - 1) || n < RING_MIN || n > (1u << 30))
		return err_set(err, -EINVAL,
			       "a ring of %zu bytes: expected a power of two from 64 KiB to 1 GiB", n);
	*ret = n;
	return 0;
}

static int uprobe_open(const struct planter_options *o, struct planter **ret, struct err *err)
{
	_cleanup_(cleanup_planter) struct planter *p = xcalloc(1, sizeof(*p));
	size_t ring_bytes = 0;
	int cpus = libbpf_num_possible_cpus();
	int r = ring_size(o ? o->ring_bytes : 0, &ring_bytes, err);

	p->plants.next = p->plants.prev = &p->plants;
	p->epoll = p->env.ring = p->env.scratch = p->env.losses = p->env.saved = -1;
	p->cpus = cpus > 0 ? (unsigned)cpus : 1;
	if (r == 0)
		r = uprobe_check_caps(err);
	if (r == 0)
		r = uprobe_means_detect(getenv("EARSHOT_NO_MULTI") ? MEANS_NO_MULTI : 0, &p->means, err);
	if (r == 0)
		r = make_maps(p, ring_bytes, err);
	if (r == 0)
		r = open_ring(p, err);
	if (r < 0)
		return r;
	raise_file_limit();
	*ret = TAKE(p);
	return 0;
}

/* ---- what comes back ---- */

static int uprobe_fd(struct planter *p)
{
	return p->epoll;
}

static int uprobe_drain(struct planter *p, plant_event_fn fn, void *arg)
{
	struct epoll_event ev;
	int r;

	p->fn = fn;
	p->fn_arg = arg;
	p->drained = 0;
	(void)epoll_wait(p->epoll, &ev, 1, 0); /* takes the edge */
	r = ring_buffer__consume(p->ring);
	return r < 0 && r != -ECANCELED ? r : p->drained;
}

static void add_losses(const struct planter *p, uint32_t key, struct losses *ret)
{
	uint64_t v[LOSS_KERNEL_COUNT];

	if (bpf_map_lookup_elem(p->env.losses, &key, v) < 0)
		return;
	for (size_t i = 0; i < LOSS_KERNEL_COUNT; i++)
		ret->count[i] += v[i];
}

static void uprobe_losses(struct planter *p, struct losses *ret)
{
	for (uint32_t key = 0; key <= p->last_loss_key; key++)
		add_losses(p, key, ret);
}

static void uprobe_probe_losses(struct planter *p, uint32_t probe_id, struct losses *ret)
{
	if (loss_key(probe_id))
		add_losses(p, loss_key(probe_id), ret);
}

static double uprobe_price_ns(struct planter *p, enum site_price price)
{
	if (!p->priced)
		price_measure(&p->means, p->price);
	p->priced = true;
	return price <= PRICE_STEPPED ? p->price[price] : 0;
}

static bool uprobe_multi(struct planter *p)
{
	return p->means.multi;
}

const struct planter_ops planter_uprobe = {
	.name = "uprobe",
	.open = uprobe_open,
	.close = uprobe_close,
	.plant = uprobe_plant,
	.remove = uprobe_remove,
	.forget_target = uprobe_forget_target,
	.fd = uprobe_fd,
	.drain = uprobe_drain,
	.losses = uprobe_losses,
	.probe_losses = uprobe_probe_losses,
	.price_ns = uprobe_price_ns,
	.multi = uprobe_multi,
};
