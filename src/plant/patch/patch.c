/*
 * The planter that patches. See site.c for what it may patch, plan.c for how it does, helper.h for who stops the
 * process, ring/ring.h for what program and earshot share.
 */
#include "plant/patch/patch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/caps.h"
#include "base/file.h"

#define RING_DEFAULT (4u << 20)  /* from the beginning, of a P, … */
#define RINGS_DEFAULT (64u << 20) /* … but of all together about this much at most */
#define RINGS_MOST (512ull << 20) /* what a function that is called two million times a second writes in one */
#define RINGS_SHARE 8            /* … but not more than this part of the machine's memory */
#define BUSY_DRAIN_NS 10000000 /* nothing of ours in the program can wake us */
#define PROCS_MAX 256

static struct patch_planter *of_planter(struct planter *p)
{
	return CONTAINER_OF(p, struct patch_planter, planter);
}

static struct patch_planter *of_source(struct event_source *s)
{
	return CONTAINER_OF(s, struct patch_planter, source);
}

static uint64_t most_by_default(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return pages > 0 && size > 0 ? MIN(RINGS_MOST, (uint64_t)pages * (uint64_t)size / RINGS_SHARE) : 0;
}

/* A chunk for each slot there must be. */
static void size_pool(struct patch_planter *p, const struct planter_options *o)
{
	const uint64_t slots = p->procs + PATCH_EXTRA_SLOTS, least = slots * RING_CHUNK;
	const uint64_t usual = MAX(least, slots * MIN(RING_DEFAULT, RINGS_DEFAULT / p->procs));
	const uint64_t most = o->ring_bytes ? MAX(least, o->ring_bytes) : MAX(usual, most_by_default());

	p->chunks = (uint32_t)MIN(most / RING_CHUNK, RING_MAX_CHUNKS);
	p->chunks_first = (uint32_t)MIN(usual / RING_CHUNK, p->chunks);
	p->budget = (uint64_t)(p->chunks - p->chunks_first) * RING_CHUNK;
}

static int start_timer(struct patch_planter *p, struct err *err)
{
	p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return p->timer < 0 ? err_set(err, -errno, "cannot make a timer: %s", strerror(errno)) : 0;
}

/* While much is written, it is read more often than whoever drains does by himself. */
static void set_timer(struct patch_planter *p, bool often)
{
	const struct itimerspec each = {{0, often ? BUSY_DRAIN_NS : 0}, {0, often ? BUSY_DRAIN_NS : 0}};

	if (p->often != often && timerfd_settime(p->timer, 0, &each, NULL) == 0)
		p->often = often;
}

/* ---- losses ---- */

static const struct patch_counts *counts_at(const struct patched *d, uint32_t i)
{
	return (const struct patch_counts *)(const void *)((const char *)d->area + d->layout.counts_off) + i;
}

/* Of the i-th probe. */
static void add_counts(struct losses *l, const struct patched *d, uint32_t i)
{
	const struct patch_counts *c = counts_at(d, i);

	for (size_t k = 0; k < PATCH_LOSSES; k++)
		l->count[k] += __atomic_load_n(&c->loss[k], __ATOMIC_RELAXED);
	l->count[LOSS_SAMPLED_OUT] += patch_area_left_out(d->area, &d->layout, i);
}

static void patch_losses(struct event_source *s, struct losses *ret)
{
	struct patch_planter *p = of_source(s);
	void *value;

	for (size_t i = 0; map_next(&p->gone, &i, NULL, &value);)
		losses_add(ret, &((const struct gone *)value)->losses);
	ret->count[LOSS_BAD_RECORD] += p->reader.damaged;
	aggregates_losses(p->reader.aggregates, 0, ret);
	pairing_losses(p->reader.pairing, 0, ret);
	for (const struct patched *d = p->patched; d; d = d->next)
		for (uint32_t i = 0; i < d->nprobes; i++)
			add_counts(ret, d, i);
}

/*
 * nprobes where the probe is none of d's. A file's probes are numbered one after the other: where the number tells the
 * place, nothing is searched, or asking for each of many thousand would take a minute.
 */
static uint32_t index_of(const struct patched *d, uint32_t probe_id)
{
	uint32_t guess = d->nprobes ? probe_id - d->probes[0] : 0;

	if (guess < d->nprobes && d->probes[guess] == probe_id)
		return guess;
	for (uint32_t i = 0; i < d->nprobes; i++)
		if (d->probes[i] == probe_id)
			return i;
	return d->nprobes;
}

static void patch_probe_losses(struct event_source *s, uint32_t probe_id, struct losses *ret)
{
	struct patch_planter *p = of_source(s);
	const struct gone *gone = map_get(&p->gone, probe_id + UINT64_C(1));

	if (gone)
		losses_add(ret, &gone->losses);
	aggregates_losses(p->reader.aggregates, probe_id, ret);
	pairing_losses(p->reader.pairing, probe_id, ret);
	for (const struct patched *d = p->patched; d; d = d->next) {
		uint32_t i = index_of(d, probe_id);

		if (i < d->nprobes)
			add_counts(ret, d, i);
	}
}

static void keep_counts(struct patch_planter *p, const struct patched *d)
{
	for (uint32_t i = 0; i < d->nprobes; i++) {
		const uint64_t key = d->probes[i] + UINT64_C(1);
		struct gone *g = map_get(&p->gone, key);

		if (!g) {
			g = xcalloc(1, sizeof(*g));
			map_set(&p->gone, key, g);
		}
		add_counts(&g->losses, d, i);
		g->hits += patch_area_hits(d->area, &d->layout, i);
	}
}

/* ---- taking out ---- */

static void plant_free(struct plant *pl)
{
	vec_done(&pl->patches);
	free(pl);
}

/* By address: what the listed plants patch. */
static struct map used_by(const struct patched *d)
{
	struct map used = {0};

	for (size_t i = 0; i < d->plants.len; i++)
		for (size_t k = 0; k < d->plants.data[i]->patches.len; k++)
			map_set(&used, d->plants.data[i]->patches.data[k].addr, d->plants.data[i]);
	return used;
}

/* Takes those that leave out of the list; how many it were. */
static size_t unlist(struct patched *d)
{
	size_t kept = 0, before = d->plants.len;

	for (size_t i = 0; i < before; i++)
		if (!d->plants.data[i]->leaving)
			d->plants.data[kept++] = d->plants.data[i];
	d->plants.len = kept;
	return before - kept;
}

static void leave(struct patch_planter *p, struct patched *d)
{
	struct err err = {0};

	if (d->inside && helper_leave(p->helper, d->handle, &err) && p->note)
		p->note(p->note_arg, "%s", err.text);
	d->inside = false;
}

/* Removes those of the plants that are in d; when d has no others, takes everything out of the process. */
static void remove_from(struct patch_planter *p, struct patched *d, struct plant *const *plants, size_t n)
{
	VEC(struct shared_patch) patches = {0};
	struct map used;

	if (!unlist(d) || !d->inside)
		return;
	if (!d->plants.len) {
		leave(p, d);
		return;
	}
	used = used_by(d);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; plants[i] && plants[i]->patched == d && k < plants[i]->patches.len; k++)
			if (!map_get(&used, plants[i]->patches.data[k].addr))
				vec_push(&patches, plants[i]->patches.data[k]);
	helper_unpatch(p->helper, d->handle, patches.data, patches.len, NULL);
	map_done(&used);
	vec_done(&patches);
}

void patched_done(struct patched *d)
{
	if (d->memory)
		munmap(d->memory, d->bytes);
	pool_done(&d->ring.pool);
	close_fd(d->fd);
	vec_done(&d->plants);
	patch_forms_done(&d->forms);
	free(d->counted);
	free(d->probes);
	free(d);
}

static void patched_free(struct patch_planter *p, struct patched *d)
{
	leave(p, d);
	keep_counts(p, d);
	tally_gone(p, d);
	patched_done(d);
}

/* Where nothing is planted any more, once what waits in its rings was taken out: a budget comes and goes often. */
static void drop_empty(struct patch_planter *p)
{
	struct patched **at = &p->patched;

	while (*at) {
		struct patched *d = *at;

		if (d->inside || d->plants.len || !ring_read(&p->reader, &d->ring)) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		patched_free(p, d);
	}
}

static void patch_remove(struct planter *planter, struct plant *const *plants, size_t n)
{
	struct patch_planter *p = of_planter(planter);

	for (size_t i = 0; i < n; i++)
		if (plants[i])
			plants[i]->leaving = true;
	for (struct patched *d = p->patched; d; d = d->next)
		remove_from(p, d, plants, n);
	for (size_t i = 0; i < n; i++)
		if (plants[i])
			plant_free(plants[i]);
	drop_empty(p);
}

static void patch_forget_target(struct event_source *s, uint32_t target)
{
	struct patch_planter *p = of_source(s);
	struct patched **at = &p->patched;

	while (*at) {
		struct patched *d = *at;

		if (d->target != target) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		patched_free(p, d);
	}
	pairing_forget(p->reader.pairing, target);
}

static void patch_close(struct planter *planter)
{
	struct patch_planter *p = of_planter(planter);
	void *value;

	while (p->patched) {
		struct patched *d = p->patched;

		p->patched = d->next;
		patched_free(p, d);
	}
	helper_stop(p->helper);
	for (size_t pos = 0; map_next(&p->gone, &pos, NULL, &value);)
		free(value);
	for (size_t pos = 0; map_next(&p->controls, &pos, NULL, &value);)
		free(value);
	map_done(&p->controls);
	map_done(&p->gone);
	ring_reader_done(&p->reader);
	pairing_free(p->reader.pairing);
	aggregates_free(p->reader.aggregates);
	close_fd(p->timer);
	free(p);
}

/* ---- events ---- */

static int patch_fd(struct event_source *s)
{
	struct patch_planter *p = of_source(s);

	return p->timer;
}

static int patch_drain(struct event_source *s, plant_event_fn fn, void *arg)
{
	struct patch_planter *p = of_source(s);
	VEC(struct ring *) rings = {0};
	uint64_t ticks;
	int n;

	while (p->often && read(p->timer, &ticks, sizeof(ticks)) > 0)
		;
	for (struct patched *d = p->patched; d; d = d->next)
		vec_push(&rings, &d->ring);
	n = ring_drain(&p->reader, rings.data, rings.len, fn, arg);
	vec_done(&rings);
	set_timer(p, p->reader.busy);
	drop_empty(p);
	return n;
}

static uint64_t patch_complete_ns(struct event_source *s)
{
	return of_source(s)->reader.until_ns;
}

static uint64_t patch_hits(struct event_source *s, uint32_t probe_id)
{
	struct patch_planter *p = of_source(s);
	const struct gone *gone = map_get(&p->gone, probe_id + UINT64_C(1));
	uint64_t n = gone ? gone->hits : 0;

	for (const struct patched *d = p->patched; d; d = d->next) {
		uint32_t i = index_of(d, probe_id);

		if (i < d->nprobes)
			n += patch_area_hits(d->area, &d->layout, i);
	}
	return n;
}

static int patch_open_calls(struct event_source *s, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	struct patch_planter *p = of_source(s);

	return pairing_open_calls(p->reader.pairing, target, take, fn, arg);
}

/* Where aggregates are kept in the program: from the next time on that the probe is planted. */
static int patch_control(struct event_source *s, uint32_t probe_id, const struct plant_control *c)
{
	struct patch_planter *p = of_source(s);
	struct plant_control *kept = map_get(&p->controls, probe_id + UINT64_C(1));

	if (!kept) {
		kept = xcalloc(1, sizeof(*kept));
		map_set(&p->controls, probe_id + UINT64_C(1), kept);
	}
	*kept = *c;
	pairing_control(p->reader.pairing, probe_id, c);
	return 0;
}

static int patch_aggregates(struct event_source *s, bool clear, plant_group_fn fn, void *arg)
{
	struct patch_planter *p = of_source(s);

	tally_all(p);
	return aggregates_read(p->reader.aggregates, clear, fn, arg);
}

/* The same whatever the instruction was: it becomes a jump. */
static double patch_price_ns(struct planter *planter, unsigned price)
{
	struct patch_planter *p = of_planter(planter);

	if (!p->price_ns)
		p->price_ns = patch_price_measure(p->reader.clock.mult);
	return p->price_ns;
}

static uint64_t patch_pause_ns(struct planter *planter, uint32_t target)
{
	struct patch_planter *p = of_planter(planter);
	uint64_t ns = 0;

	for (const struct patched *d = p->patched; d; d = d->next)
		if (d->target == target)
			ns += d->pause_ns;
	return ns;
}

static const struct event_source_ops patch_source = {
	.fd = patch_fd,
	.drain = patch_drain,
	.complete_ns = patch_complete_ns,
	.losses = patch_losses,
	.probe_losses = patch_probe_losses,
	.forget_target = patch_forget_target,
	.control = patch_control,
	.hits = patch_hits,
	.aggregates = patch_aggregates,
	.open_calls = patch_open_calls,
};

static int patch_open(const struct planter_options *o, struct planter **ret, struct err *err)
{
	struct patch_planter *p = xcalloc(1, sizeof(*p));
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	int r;

	p->planter = (struct planter){&planter_patch, &p->source};
	p->source.ops = &patch_source;
	p->procfs = o->procfs;
	p->note = o->note;
	p->note_arg = o->note_arg;
	p->timer = -1;
	p->reader.pairing = pairing_new(o->max_calls);
	p->reader.aggregates = aggregates_new(o->max_groups);
	p->max_groups = o->max_groups;
	p->procs = (uint32_t)MIN(MAX(cpus, 4), PROCS_MAX);
	size_pool(p, o);
	r = tsc_clock_start(p->procfs, &p->reader.clock, err);
	if (!r)
		r = start_timer(p, err);
	if (!r)
		r = helper_start(&p->helper, err);
	if (r) {
		patch_close(&p->planter);
		return r;
	}
	*ret = &p->planter;
	return 0;
}

/* ---- what this machine allows ---- */

static const struct price_class patch_prices[] = {{"patch", "a jump", ""}};

/* Who may hold others by ptrace, as the Yama security module has it (its documentation numbers them). */
static void check_ptrace(const struct planter_report *r)
{
	static const char *const texts[] = {
		"of programs of the same user (kernel.yama.ptrace_scope is 0)",
		"of programs started by earshot only, without CAP_SYS_PTRACE (kernel.yama.ptrace_scope is 1)",
		"not without CAP_SYS_PTRACE (kernel.yama.ptrace_scope is 2)",
		"nobody may use it until the next boot (kernel.yama.ptrace_scope is 3)",
	};
	bool privileged = caps_have(caps_effective(), CAP_SYS_PTRACE);
	_cleanup_(buf_done) struct buf b = {0};
	unsigned scope = 0;

	if (file_read("/proc/sys/kernel/yama/ptrace_scope", &b, 0) == 0 && b.data)
		scope = (unsigned)strtoul(b.data, NULL, 10);
	scope = MIN(scope, 3u);
	if (scope < 3 && privileged)
		r->check(r->arg, "ptrace", true, false, "of all programs");
	else
		r->check(r->arg, "ptrace", scope < 2, false, texts[scope]);
}

static void patch_check(const struct planter_report *r)
{
	struct planter_options o = {.procfs = "/proc"};
	struct planter *p = NULL;
	struct err err = {0};

	if (patch_open(&o, &p, &err) < 0) {
		r->check(r->arg, "patching", false, false, err.text);
		return;
	}
	r->check(r->arg, "patching", true, false, "--planter patch has the clock it needs; it uses ptrace:");
	check_ptrace(r);
	if (patch_price_ns(p, 0) > 0)
		r->price(r->arg, &patch_prices[0], patch_price_ns(p, 0));
	planter_close(p);
}

const struct planter_ops planter_patch = {
	.name = "patch",
	.means = "patches",
	.doing = "patching programs from inside",
	.prices = patch_prices,
	.prices_title = "and with --planter patch, wherever it is",
	.caps = {.reads_float_regs = true, .follows_contexts = true, .keeps_marks = true, .injects = true,
		 .lends = true, .carries_states = true, .needs_ptrace = true},
	.open = patch_open,
	.close = patch_close,
	.plant = patch_plant,
	.remove = patch_remove,
	.price_ns = patch_price_ns,
	.suits = patch_suits,
	.locate = patch_locate,
	.check = patch_check,
	.pause_ns = patch_pause_ns,
};
