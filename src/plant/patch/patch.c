/*
 * The planter that patches. See site.c for what it may patch, plan.c for how it does, hand.h for who stops the
 * process, ring.h for what program and earshot share.
 */
#include "plant/patch/patch.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RING_DEFAULT (1u << 20)
#define DRAIN_NS 10000000 /* nothing of ours in the program can wake us */
#define PROCS_MAX 256

static void patch_close(struct planter *p);

static uint32_t ring_size(const struct planter_options *o, uint32_t procs)
{
	uint64_t wanted = o->ring_bytes ? o->ring_bytes / procs : RING_DEFAULT, size = PATCH_MIN_RING;

	while (2 * size <= wanted && size < 1u << 28)
		size *= 2;
	return (uint32_t)size;
}

static int start_timer(struct planter *p, struct err *err)
{
	const struct itimerspec each = {{0, DRAIN_NS}, {0, DRAIN_NS}};

	p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (p->timer < 0 || timerfd_settime(p->timer, 0, &each, NULL) < 0)
		return err_set(err, -errno, "cannot make a timer: %s", strerror(errno));
	return 0;
}

static int patch_open(const struct planter_options *o, struct planter **ret, struct err *err)
{
	struct planter *p = xcalloc(1, sizeof(*p));
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	int r;

	p->procfs = o->procfs;
	p->note = o->note;
	p->note_arg = o->note_arg;
	p->timer = -1;
	p->calls = calls_new();
	p->procs = (uint32_t)MIN(MAX(cpus, 4), PROCS_MAX);
	p->ring_bytes = ring_size(o, p->procs);
	r = tsc_clock_start(p->procfs, &p->clock, err);
	if (!r)
		r = start_timer(p, err);
	if (!r)
		r = hand_start(&p->hand, err);
	if (r) {
		patch_close(p);
		return r;
	}
	*ret = p;
	return 0;
}

/* ---- losses ---- */

static void add_counts(struct losses *l, const struct patch_counts *c)
{
	for (size_t i = 0; i < PATCH_LOSSES; i++)
		l->count[i] += __atomic_load_n(&c->loss[i], __ATOMIC_RELAXED);
}

static const struct patch_counts *counts_at(const struct patched *d, uint32_t i)
{
	return (const struct patch_counts *)(const void *)((const char *)d->area + d->layout.counts_off) + i;
}

static void patch_losses(struct planter *p, struct losses *ret)
{
	for (size_t i = 0; i < LOSS_COUNT; i++)
		ret->count[i] += p->gone.count[i];
	ret->count[LOSS_BAD_RECORD] += p->drain.damaged;
	ret->count[LOSS_CALLS_FULL] += calls_lost(p->calls, 0);
	for (const struct patched *d = p->patched; d; d = d->next)
		for (uint32_t i = 0; i < d->nprobes; i++)
			add_counts(ret, counts_at(d, i));
}

static void patch_probe_losses(struct planter *p, uint32_t probe_id, struct losses *ret)
{
	const struct losses *gone = map_get(&p->gone_probes, probe_id);

	for (size_t i = 0; gone && i < LOSS_COUNT; i++)
		ret->count[i] += gone->count[i];
	ret->count[LOSS_CALLS_FULL] += calls_lost(p->calls, probe_id);
	for (const struct patched *d = p->patched; d; d = d->next)
		for (uint32_t i = 0; i < d->nprobes; i++)
			if (d->probes[i] == probe_id)
				add_counts(ret, counts_at(d, i));
}

static void keep_losses(struct planter *p, const struct patched *d)
{
	for (uint32_t i = 0; i < d->nprobes; i++) {
		struct losses *l = map_get(&p->gone_probes, d->probes[i]);

		if (!l) {
			l = xcalloc(1, sizeof(*l));
			map_set(&p->gone_probes, d->probes[i], l);
		}
		add_counts(l, counts_at(d, i));
		add_counts(&p->gone, counts_at(d, i));
	}
}

/* ---- taking out ---- */

static void plant_free(struct plant *pl)
{
	vec_done(&pl->patches);
	free(pl);
}

static bool used(const struct patched *d, uint64_t addr)
{
	for (size_t i = 0; i < d->plants.len; i++)
		for (size_t k = 0; k < d->plants.data[i]->patches.len; k++)
			if (d->plants.data[i]->patches.data[k].addr == addr)
				return true;
	return false;
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

static void leave(struct planter *p, struct patched *d)
{
	struct err err = {0};

	if (d->inside && hand_leave(p->hand, d->handle, &err) && p->note)
		p->note(p->note_arg, "%s", err.text);
	d->inside = false;
}

/* Those of d among plants, or all of it when nothing else of d is planted. */
static void remove_from(struct planter *p, struct patched *d, struct plant *const *plants, size_t n)
{
	VEC(struct hand_patch) patches = {0};

	if (!unlist(d) || !d->inside)
		return;
	if (!d->plants.len) {
		leave(p, d);
		return;
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; plants[i] && plants[i]->patched == d && k < plants[i]->patches.len; k++)
			if (!used(d, plants[i]->patches.data[k].addr))
				vec_push(&patches, plants[i]->patches.data[k]);
	hand_unpatch(p->hand, d->handle, patches.data, patches.len, NULL);
	vec_done(&patches);
}

static void patch_remove(struct planter *p, struct plant *const *plants, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (plants[i])
			plants[i]->leaving = true;
	for (struct patched *d = p->patched; d; d = d->next)
		remove_from(p, d, plants, n);
	for (size_t i = 0; i < n; i++)
		if (plants[i])
			plant_free(plants[i]);
}

static void patched_free(struct planter *p, struct patched *d)
{
	keep_losses(p, d);
	leave(p, d);
	munmap(d->memory, d->bytes);
	vec_done(&d->plants);
	free(d->probes);
	free(d);
}

static void patch_forget_target(struct planter *p, uint32_t target)
{
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
	calls_open(p->calls, target, true, NULL, NULL);
}

static void patch_close(struct planter *p)
{
	void *value;

	if (!p)
		return;
	while (p->patched) {
		struct patched *d = p->patched;

		p->patched = d->next;
		patched_free(p, d);
	}
	hand_stop(p->hand);
	for (size_t pos = 0; map_next(&p->facts, &pos, NULL, &value);) {
		facts_done(value);
		free(value);
	}
	for (size_t pos = 0; map_next(&p->gone_probes, &pos, NULL, &value);)
		free(value);
	map_done(&p->facts);
	map_done(&p->gone_probes);
	drain_done(&p->drain);
	calls_free(p->calls);
	close_fd(p->timer);
	free(p);
}

/* ---- events ---- */

static int patch_fd(struct planter *p)
{
	return p->timer;
}

static int patch_drain(struct planter *p, plant_event_fn fn, void *arg)
{
	uint64_t ticks;

	while (read(p->timer, &ticks, sizeof(ticks)) > 0)
		;
	return drain_all(p, fn, arg);
}

/* Of processes that are still known. */
static uint64_t patch_hits(struct planter *p, uint32_t probe_id)
{
	uint64_t n = 0;

	for (const struct patched *d = p->patched; d; d = d->next)
		for (uint32_t i = 0; i < d->nprobes; i++)
			if (d->probes[i] == probe_id)
				n += __atomic_load_n(&counts_at(d, i)->hits, __ATOMIC_RELAXED);
	return n;
}

static int patch_open_calls(struct planter *p, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	return calls_open(p->calls, target, take, fn, arg);
}

/* A hit costs some tens of nanoseconds, whatever the instruction was; it is not measured. */
static double patch_price_ns(struct planter *p, enum site_price price)
{
	return 0;
}

static bool patch_multi(struct planter *p)
{
	return true;
}

static uint64_t patch_pause_ns(struct planter *p, uint32_t target)
{
	uint64_t ns = 0;

	for (const struct patched *d = p->patched; d; d = d->next)
		if (d->target == target)
			ns += d->pause_ns;
	return ns;
}

const struct planter_ops planter_patch = {
	.name = "patch",
	.traces = true,
	.xmm_readable = true,
	.open = patch_open,
	.close = patch_close,
	.plant = patch_plant,
	.remove = patch_remove,
	.forget_target = patch_forget_target,
	.fd = patch_fd,
	.drain = patch_drain,
	.losses = patch_losses,
	.probe_losses = patch_probe_losses,
	.price_ns = patch_price_ns,
	.multi = patch_multi,
	.pause_ns = patch_pause_ns,
	.hits = patch_hits,
	.open_calls = patch_open_calls,
};
