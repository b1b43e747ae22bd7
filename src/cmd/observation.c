/*
 * The frame of an observation: it opens what is needed, hands samples to the consumers whose probes wrote them, and
 * ends in order. A sample belongs to whoever asked for its probe; the number of the probe leads there.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/buf.h"
#include "base/clock.h"
#include "cmd/local_packs.h"
#include "cmd/observation_internal.h"
#include "cmd/planter.h"
#include "cmd/summary.h"
#include "cmd/verb.h"
#include "target/hold.h"

#define DRAIN_NS 50000000u    /* how long a record may wait in the ring */
#define LAST_DRAINS 64
#define DRAINS_A_TICK 2       /* so each 100 ms */
#define FLUSH_MS 5000

/* ---- notes ---- */

static void vnote(const struct observation *ob, const char *fmt, va_list ap)
{
	if (ob->options->quiet)
		return;
	say(fmt, ap);
}

void observation_note(struct observation *ob, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vnote(ob, fmt, ap);
	va_end(ap);
}

/* The planter's. */
static void note(void *arg, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void note(void *arg, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vnote(arg, fmt, ap);
	va_end(ap);
}

/* What is not used is told even so: somebody may rely on it. */
static void tell_of_pack(void *arg, bool trouble, const char *sentence)
{
	if (trouble)
		fprintf(stderr, "earshot: %s\n", sentence);
	else
		observation_note(arg, "%s", sentence);
}

/* ---- samples ---- */

uint32_t observation_number(struct observation *ob, struct consumer *c)
{
	vec_push(&ob->owners, c);
	return (uint32_t)ob->owners.len - 1;
}

/* Of the sample's first record: the second, if there is one, is of the same call. */
static struct consumer *owner_of(const struct observation *ob, const void *sample, size_t size)
{
	uint32_t probe;

	if (size < sizeof(struct event_header))
		return NULL;
	memcpy(&probe, (const char *)sample + offsetof(struct event_header, probe), sizeof(probe));
	return probe < ob->owners.len ? ob->owners.data[probe] : NULL;
}

static void on_sample(void *arg, const void *sample, size_t size)
{
	struct observation *ob = arg;
	struct consumer *c = owner_of(ob, sample, size);

	if (c)
		c->ops->sample(c, sample, size);
	else
		ob->strays++;
}

void observation_drain(struct observation *ob)
{
	merge_drain(&ob->merge, &ob->sources, on_sample, ob);
}

void observation_drain_all(struct observation *ob)
{
	for (int i = 0; i < LAST_DRAINS && merge_drain(&ob->merge, &ob->sources, on_sample, ob) > 0; i++)
		;
}

static void on_ring(void *arg, uint32_t events)
{
	(void)events;
	hold_release_late(); /* a program that stopped too late for us stands still no longer than this takes */
	observation_drain(arg);
}

void observation_losses(const struct observation *ob, const struct consumer *c, struct losses *ret)
{
	struct losses others = {0};

	/* The whole before the parts: what is lost in between is then told a round later, not twice. */
	sources_losses(&ob->sources, ret);
	for (uint32_t i = 0; i < ob->owners.len && ob->consumers.len > 1; i++)
		if (ob->owners.data[i] && ob->owners.data[i] != c)
			sources_probe_losses(&ob->sources, i, &others);
	losses_subtract(ret, &others);
}

void observation_unfinished(struct observation *ob)
{
	struct consumer *c;

	for_consumers(c, ob)
		if (c->ops->unfinished)
			c->ops->unfinished(c);
}

/* ---- time ---- */

static void tick(struct observation *ob)
{
	struct consumer *c;

	outputs_tick(&ob->sinks);
	for_consumers(c, ob)
		if (c->ops->tick)
			c->ops->tick(c);
	if (outputs_gone(&ob->sinks))
		loop_quit(ob->loop);
}

static void on_time(void *arg, uint32_t events)
{
	struct observation *ob = arg;

	on_ring(ob, events);
	if (++ob->drains % DRAINS_A_TICK == 0)
		tick(ob);
}

static void on_deadline(void *arg, uint32_t events)
{
	(void)events;
	observation_quit(arg);
}

int observation_start(struct observation *ob, struct err *err)
{
	int r = loop_add_timer(ob->loop, DRAIN_NS, DRAIN_NS, on_time, ob, &ob->drain_timer);
	struct consumer *c;

	for (size_t i = 0; i < ob->sources.len && r >= 0; i++) {
		struct event_source *s = ob->sources.data[i];

		r = loop_add_fd(ob->loop, s->ops->fd(s), EPOLLIN, on_ring, ob, vec_add(&ob->rings));
	}
	if (r < 0)
		return err_set(err, r, "cannot wait for events: %s", strerror(-r));
	for_consumers(c, ob)
		if (c->ops->start && (r = c->ops->start(c, err)) < 0)
			return r;
	return 0;
}

int observation_begin(struct observation *ob, struct err *err)
{
	uint64_t for_ns = ob->options->for_ns;
	int r = for_ns ? loop_add_timer(ob->loop, for_ns, 0, on_deadline, ob, &ob->deadline) : 0;

	return r < 0 ? err_set(err, r, "cannot make a timer: %s", strerror(-r)) : 0;
}

/* ---- beginning and end ---- */

static int open_planter(struct observation *ob, struct err *err)
{
	const struct planter_options o = {.ring_bytes = ob->options->ring_bytes, .procfs = ob->procfs, .note = note,
					  .note_arg = ob};
	int r = planter_open(ob->options->planter, &o, &ob->planter, &ob->planter_ops, err);

	if (r >= 0)
		observation_add_source(ob, ob->planter->source);
	else if (err && ob->options->offline && ob->planter_ops)
		ob->no_planter = *err;
	return ob->options->offline && ob->planter_ops ? 0 : r;
}

static int open_woven(struct observation *ob, struct err *err)
{
	const struct woven_options o = {.procfs = ob->procfs, .sysfs = "/sys", .ring_bytes = ob->options->ring_bytes,
					.note = note, .note_arg = ob};
	int r = woven_open(&o, &ob->woven, err);

	if (r >= 0)
		observation_add_source(ob, woven_source(ob->woven));
	return r;
}

int observation_new(const struct observation_options *o, struct loop *loop, struct observation **ret, struct err *err)
{
	struct observation *ob = xcalloc(1, sizeof(*ob));
	const struct local_packs local = {o->local_packs ? "." : NULL, tell_of_pack, ob};
	int r;

	*ob = (struct observation){.options = o, .loop = loop, .procfs = "/proc", .started_ns = clock_monotonic_ns()};
	vec_push(&ob->owners, NULL); /* no probe has number 0 */
	r = packs_load(&o->packs, &local, &ob->packs, err);
	if (r >= 0)
		r = open_planter(ob, err);
	if (r >= 0)
		r = open_woven(ob, err);
	if (r < 0) {
		observation_cancel(ob);
		return r;
	}
	*ret = ob;
	return 0;
}

void observation_add_source(struct observation *ob, struct event_source *s)
{
	vec_push(&ob->sources, s);
}

void observation_add(struct observation *ob, struct consumer *c)
{
	c->observation = ob;
	c->index = ob->consumers.len;
	vec_push(&ob->consumers, c);
}

static void observation_free(struct observation *ob)
{
	struct consumer *c;

	loop_remove(ob->loop, ob->drain_timer);
	loop_remove(ob->loop, ob->deadline);
	for (size_t i = 0; i < ob->rings.len; i++)
		loop_remove(ob->loop, ob->rings.data[i]);
	vec_done(&ob->rings);
	vec_done(&ob->sources);
	merge_done(&ob->merge);
	planter_close(ob->planter); /* what it planted points into programs, which are freed below */
	woven_close(ob->woven);     /* likewise */
	processes_done(ob);
	for_consumers(c, ob)
		c->ops->free(c);
	vec_done(&ob->consumers);
	vec_done(&ob->owners);
	packs_done(&ob->packs);
	free(ob);
}

void observation_cancel(struct observation *ob)
{
	if (!ob)
		return;
	outputs_close(&ob->sinks, 0);
	observation_free(ob);
}

void observation_summary(struct observation *ob, struct run_summary *sum)
{
	struct consumer *c;

	*sum = (struct run_summary){0};
	sum->processes = ob->processes.entered;
	sum->planted = ob->processes.planted;
	sum->refused = ob->processes.refused;
	sum->events = ob->strays;
	sum->losses.count[LOSS_BAD_RECORD] = ob->strays;
	sources_losses(&ob->sources, &sum->losses);
	for_consumers(c, ob)
		c->ops->summary(c, sum);
}

static void print_summary(struct observation *ob, const struct run_summary *sum)
{
	_cleanup_(summary_text_done) struct summary_text text = {0};
	_cleanup_(buf_done) struct buf out = {0};
	struct consumer *c;

	text.seconds = (double)(clock_monotonic_ns() - ob->started_ns) / 1e9;
	for_consumers(c, ob)
		c->ops->describe(c, &text);
	summary_print(sum, &text, &out);
	observation_note(ob, "%s", out.data);
}

void observation_finish(struct observation *ob)
{
	struct run_summary sum = {0};
	struct consumer *c;
	const char *trouble;

	if (!ob)
		return;
	processes_leave_all(ob);
	for_consumers(c, ob)
		if (c->ops->finish)
			c->ops->finish(c);
	observation_summary(ob, &sum);
	outputs_finish(&ob->sinks, FLUSH_MS, &sum.losses);
	outputs_summary(&ob->sinks, &sum);
	for (size_t pos = 0; (trouble = outputs_trouble(&ob->sinks, &pos));)
		observation_note(ob, "%s", trouble);
	outputs_close(&ob->sinks, FLUSH_MS);
	print_summary(ob, &sum);
	observation_free(ob);
}

/* ---- what others may know ---- */

struct loop *observation_loop(const struct observation *ob)
{
	return ob->loop;
}

void observation_quit(struct observation *ob)
{
	loop_quit(ob->loop);
}

sink_list *observation_sinks(struct observation *ob)
{
	return &ob->sinks;
}

const char *observation_procfs(const struct observation *ob)
{
	return ob->procfs;
}

const pack_set *observation_packs(const struct observation *ob)
{
	return &ob->packs;
}

struct planter *observation_planter(const struct observation *ob)
{
	return ob->planter;
}

const char *observation_cannot_plant(const struct observation *ob)
{
	return ob->planter ? NULL : ob->no_planter.text;
}

const struct planter_ops *observation_planter_ops(const struct observation *ob)
{
	return ob->planter_ops;
}

const source_list *observation_sources(const struct observation *ob)
{
	return &ob->sources;
}
