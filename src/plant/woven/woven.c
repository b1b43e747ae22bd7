/*
 * The source of events of woven programs. The records of all of them come through one reader, by one clock: the one
 * that the kernel itself has, so that the programs choose the same when they begin before us.
 */
#include "plant/woven.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/map.h"
#include "plant/contexts.h"
#include "plant/ring/drain.h"
#include "plant/woven/memory.h"
#include "plant/woven/rewrite.h"

#define BUSY_DRAIN_NS 10000000         /* nothing in the program can wake us */
#define CHUNKS_DEFAULT 128u            /* of a process, at first */
#define CHUNKS_MOST 1024u

struct recorded {                      /* a probe in a process */
	struct woven_probe p;
	int *slots;                    /* p.slots */
	struct woven_plan plan;        /* p.plan, if there is one */
	uint32_t index;                /* of its point's entry */
	uint64_t taken;                /* records */
	uint64_t unreadable;           /* of these, where the condition could not be tested */
	struct recorded *next;         /* another probe of the same point */
};

struct woven_process {
	struct woven_process *next;
	struct woven *woven;
	uint32_t target;
	uint64_t bias;
	struct woven_memory memory;
	struct ring ring;
	struct ring_rewriter rewriter;
	struct recorded *probes;
	size_t nprobes;
	struct recorded *by_index[WOVEN_MAX_WANTED];
	uint64_t taken;                /* records of the session */
	bool ended;                    /* woven_detach */
};

struct answered_return {               /* a probe of a question, when its calls are put together */
	const struct woven_answer *answer;
	const struct capture_program *program;
	uint64_t unreadable;           /* as in struct recorded */
};

struct left {                          /* of a probe, in processes that are forgotten */
	struct losses losses;
	uint64_t hits;
};

struct woven {
	struct event_source source;
	struct woven_options options;
	struct ring_reader reader;
	struct woven_process *processes;
	struct map left;               /* probe + 1 → struct left */
	struct map every;              /* probe + 1 → struct plant_control: what the recorder itself applies */
	struct map returns;            /* probe + 1 → struct answered_return */
	struct ring_editor editor;     /* which answers them */
	struct buf sample;             /* … with this */
	uint64_t marks_full;           /* of processes that are forgotten */
	uint64_t thrown_away;          /* records that a program gave up, since it took us for dead */
	uint64_t budget;
	int timer;
	bool started;                  /* the clock: with the first process */
	bool often;                    /* the timer runs */
};

static struct woven *of_source(struct event_source *s)
{
	return CONTAINER_OF(s, struct woven, source);
}

/* ---- records ---- */

/* What the record says of the probe's question. What comes at a return waits for its call. */
static void answer(struct woven_process *p, struct recorded *r, const struct event *from, struct buf *out)
{
	const struct woven_answer *a = r->p.answer;
	const bool calls = r->p.program->role == PROGRAM_ENTRY;
	const struct replay with = {.from = from, .forms = a->forms, .n = a->n, .bias = p->bias, .probe = r->p.id,
				    .kind = calls ? EVENT_CALL : EVENT_POINT};

	if (a->entry)
		rewriting_append(&(struct rewriting){r->p.id, EVENT_RETURN, NULL, from->head->slots}, from, out);
	else if (replay_program(r->p.program, &with, out) == REPLAY_UNREADABLE)
		r->unreadable++;
}

static uint64_t bias_of(const struct woven *w, uint32_t target)
{
	const struct woven_process *p = w->processes;

	while (p && p->target != target)
		p = p->next;
	return p ? p->bias : 0;
}

/* A call that has returned: what its question asks of that. False: its condition does not hold. */
static bool answer_return(void *arg, const void *sample, size_t size, const void **ret, size_t *ret_size)
{
	struct woven *w = arg;
	const struct event_header *h = sample;
	struct answered_return *r = map_get(&w->returns, h->probe + UINT64_C(1));
	struct event e[2];
	struct replay with;
	enum replay_verdict v;
	size_t n;

	if (!r || h->kind != EVENT_RETURN)
		return true;
	if (!event_decode_sample(sample, size, e, &n) || n != 2)
		return false;
	with = (struct replay){.from = &e[0], .forms = r->answer->forms, .n = r->answer->n, .probe = h->probe,
			       .bias = bias_of(w, h->target), .kind = EVENT_RETURN};
	with.known.latency_ns = h->time_ns - MIN(e[1].head->time_ns, h->time_ns);
	replay_saved(r->answer->entry, &e[1], &with.known);
	buf_reset(&w->sample);
	v = replay_program(r->program, &with, &w->sample);
	r->unreadable += v == REPLAY_UNREADABLE;
	buf_append(&w->sample, e[1].head, e[1].head->size);
	*ret = w->sample.data;
	*ret_size = w->sample.len;
	return v == REPLAY_PASSED;
}

static void rewrite(void *arg, const struct event *from, struct buf *out)
{
	static const enum event_kind kinds[] = {
		[PROGRAM_POINT] = EVENT_POINT,	  [PROGRAM_ENTRY] = EVENT_CALL,	  [PROGRAM_RETURN] = EVENT_RETURN,
		[PROGRAM_UNWIND] = EVENT_UNWOUND, [PROGRAM_EXIT] = EVENT_UNWOUND,
	};
	struct woven_process *p = arg;

	p->taken++;
	if (from->head->probe >= WOVEN_MAX_WANTED)
		return;
	for (struct recorded *r = p->by_index[from->head->probe]; r; r = r->next) {
		const struct rewriting to = {r->p.id, kinds[r->p.program->role], r->slots, r->p.program->nslots};

		if (r->p.answer)
			answer(p, r, from, out);
		else
			rewriting_append(&to, from, out);
		r->taken++;
	}
}

/* ---- losses ---- */

static void add_losses(const struct woven_process *p, const struct recorded *r, struct losses *ret)
{
	const struct woven_wanted *w = woven_wanted_at(&p->memory, r->index);
	const struct woven_tally left_out = woven_left_out(&p->memory, r->index);

	ret->count[LOSS_RING_FULL] += __atomic_load_n(&w->lost, __ATOMIC_RELAXED);
	ret->count[LOSS_BUSY] += __atomic_load_n(&w->busy, __ATOMIC_RELAXED);
	if (map_get(&p->woven->every, r->p.id + UINT64_C(1)))
		ret->count[LOSS_EVERY] += left_out.left_out;
	ret->count[LOSS_SAMPLED_OUT] += left_out.starts;
	ret->count[LOSS_FILTER_UNREADABLE] += r->unreadable;
}

static uint64_t hits_of(const struct woven_process *p, const struct recorded *r)
{
	struct losses l = {0};

	add_losses(p, r, &l);
	return r->taken + l.count[LOSS_RING_FULL] + l.count[LOSS_BUSY] + l.count[LOSS_EVERY] +
	       l.count[LOSS_SAMPLED_OUT] + woven_left_out(&p->memory, r->index).others;
}

static uint64_t marks_full_of(const struct woven_process *p)
{
	return p->ring.area ? __atomic_load_n(&p->memory.area->marks_full, __ATOMIC_RELAXED) : 0;
}

/* Conditions at returns that could not be tested. */
static void add_untested(const struct woven *w, uint32_t probe, struct losses *ret)
{
	void *value;
	uint64_t key;

	for (size_t i = 0; map_next(&w->returns, &i, &key, &value);)
		if (!probe || key == probe + UINT64_C(1))
			ret->count[LOSS_FILTER_UNREADABLE] += ((const struct answered_return *)value)->unreadable;
}

/* Of one probe, or (0) of all. */
static void losses_of(struct woven *w, uint32_t probe, struct losses *ret)
{
	void *value;
	uint64_t key;

	for (size_t i = 0; map_next(&w->left, &i, &key, &value);)
		if (!probe || key == probe + UINT64_C(1))
			losses_add(ret, &((const struct left *)value)->losses);
	for (const struct woven_process *p = w->processes; p; p = p->next)
		for (size_t i = 0; p->ring.area && i < p->nprobes; i++)
			if (!probe || p->probes[i].p.id == probe)
				add_losses(p, &p->probes[i], ret);
	add_untested(w, probe, ret);
	aggregates_losses(w->reader.aggregates, probe, ret);
	pairing_losses(w->reader.pairing, probe, ret);
}

static void keep_counts(struct woven *w, const struct woven_process *p)
{
	w->marks_full += marks_full_of(p);
	for (size_t i = 0; p->ring.area && i < p->nprobes; i++) {
		const struct recorded *r = &p->probes[i];
		struct left *l = map_get(&w->left, r->p.id + UINT64_C(1));

		if (!l) {
			l = xcalloc(1, sizeof(*l));
			map_set(&w->left, r->p.id + UINT64_C(1), l);
		}
		add_losses(p, r, &l->losses);
		l->hits += hits_of(p, r);
	}
}

/* ---- processes ---- */

static int cmp_keys(const void *a, const void *b)
{
	const struct recorded *x = *(struct recorded *const *)a, *y = *(struct recorded *const *)b;

	return x->p.key < y->p.key ? -1 : x->p.key > y->p.key;
}

/* Each point once, whatever number of probes is about it; with its plan, whichever of them has it. */
static size_t keys_of(struct woven_process *p, struct woven_key *ret)
{
	_cleanup_(cleanup_free) struct recorded **sorted = xcalloc(p->nprobes + 1, sizeof(*sorted));
	size_t n = 0;

	for (size_t i = 0; i < p->nprobes; i++)
		sorted[i] = &p->probes[i];
	qsort(sorted, p->nprobes, sizeof(struct recorded *), cmp_keys);
	for (size_t i = 0; i < p->nprobes; i++) {
		sorted[i]->next = NULL;
		if (n && ret[n - 1].key == sorted[i]->p.key)
			sorted[i - 1]->next = sorted[i];
		else
			ret[n++] = (struct woven_key){sorted[i]->p.key, &sorted[i]->index, NULL};
		if (sorted[i]->p.plan)
			ret[n - 1].plan = sorted[i]->p.plan;
	}
	return n;
}

static uint32_t chunks_of(const struct woven *w, uint32_t most)
{
	const size_t chunks = w->options.ring_bytes / RING_CHUNK;

	return w->options.ring_bytes ? (uint32_t)MIN(MAX(chunks, 1u), most) : most;
}

/* What the recorder applies itself: of points that are one probe's only. */
static void apply_every(struct woven *w, const struct recorded *r, const struct woven_memory *m)
{
	const struct plant_control *c = map_get(&w->every, r->p.id + UINT64_C(1));

	if (c)
		__atomic_store_n(&woven_wanted_at(m, r->index)->every,
				 (uint32_t)MIN(MAX(c->every, 1u), UINT32_MAX), __ATOMIC_RELEASE);
}

/* What these did before is not counted anywhere. From now on only the points that are wanted are in the table. */
static void tell_no_room(const struct woven *w, const struct woven_memory *m)
{
	const uint64_t n = __atomic_load_n(&m->area->no_room, __ATOMIC_RELAXED);

	if (n && w->options.note)
		w->options.note(w->options.note_arg,
				"a woven program has more points than its recorder can note before anybody listens: "
				"what %llu of them have seen until now is missing",
				(unsigned long long)n);
}

static int begin(struct woven_process *p, struct err *err)
{
	_cleanup_(cleanup_free) struct woven_key *keys = xcalloc(p->nprobes + 1, sizeof(*keys));
	struct woven *w = p->woven;
	const size_t n = keys_of(p, keys);
	bool went_on;
	int r = woven_session_begin(&p->memory, p->target, keys, n, &w->reader.clock, chunks_of(w, CHUNKS_DEFAULT),
				    &p->ring.pool, &went_on, err);

	if (r < 0)
		return r;
	if (went_on)
		tell_no_room(w, &p->memory);
	p->taken = 0;
	memset(p->by_index, 0, sizeof(p->by_index));
	for (size_t i = 0; i < n; i++) {
		struct recorded *first = CONTAINER_OF(keys[i].ret_index, struct recorded, index);

		p->by_index[first->index] = first;
		for (struct recorded *other = first->next; other; other = other->next)
			other->index = first->index;
		if (!first->next)
			apply_every(w, first, &p->memory);
	}
	p->ring.area = &p->memory.area->ring;
	p->ring.layout = &p->memory.layout.ring;
	p->ring.full = p->memory.area->ring.ring_full;
	p->ring.rewriter = &p->rewriter;
	pool_may_grow(&p->ring.pool, p->memory.fd, p->memory.layout.ring.pool_off, &w->budget);
	return 0;
}

static void process_free(struct woven_process *p)
{
	if (p->ring.area)
		pool_done(&p->ring.pool);
	woven_memory_close(&p->memory);
	for (size_t i = 0; i < p->nprobes; i++)
		free(p->probes[i].slots);
	free(p->probes);
	free(p);
}

static void copy_probes(struct woven_process *p, const struct woven_probe *probes, size_t n)
{
	p->nprobes = n;
	p->probes = xcalloc(n, sizeof(*p->probes));
	for (size_t i = 0; i < n; i++) {
		const size_t nslots = probes[i].answer ? 0 : probes[i].program->nslots;

		p->probes[i].p = probes[i];
		p->probes[i].slots = xcalloc(nslots, sizeof(int));
		if (nslots)
			memcpy(p->probes[i].slots, probes[i].slots, nslots * sizeof(int));
		p->probes[i].p.slots = p->probes[i].slots;
		if (probes[i].plan) {
			p->probes[i].plan = *probes[i].plan;
			p->probes[i].p.plan = &p->probes[i].plan;
		}
	}
}

/* Where a condition is tested here, every Nth of those that pass it is counted here, too. */
static void know_answer(struct woven *w, const struct woven_probe *p)
{
	const uint64_t key = p->id + UINT64_C(1);
	struct plant_control *every = map_get(&w->every, key);
	struct answered_return *r;

	if (every && capture_has_filter(p->program)) {
		pairing_control(w->reader.pairing, p->id, every);
		free(map_del(&w->every, key));
	}
	if (!p->answer->entry || map_get(&w->returns, key))
		return;
	r = xcalloc(1, sizeof(*r));
	*r = (struct answered_return){.answer = p->answer, .program = p->program};
	map_set(&w->returns, key, r);
	w->reader.editor = &w->editor;
}

static int know_probes(struct woven *w, const struct woven_probe *probes, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct woven_probe *p = &probes[i];
		int r = aggregates_add(w->reader.aggregates, p->id, p->program, err);

		if (r < 0)
			return r;
		pairing_add(w->reader.pairing, p->id, p->program->role, p->group, p->func);
		if (p->answer)
			know_answer(w, p);
	}
	return 0;
}

static bool kernel_has_tsc(const char *sysfs)
{
	_cleanup_(buf_done) struct buf b = {0};
	char path[128];

	snprintf(path, sizeof(path), "%.30s/devices/system/clocksource/clocksource0/current_clocksource", sysfs);
	return file_read(path, &b, 0) == 0 && b.data && !strcmp(b.data, "tsc\n");
}

/*
 * Measuring the clock takes a while, and most observations meet no woven program. Beside probes of the kernel's the
 * programs go by its clock, too: the counter as we convert it is some tenths of a microsecond away from it.
 */
static int start(struct woven *w, bool kernel_clock, struct err *err)
{
	if (w->started && kernel_clock && !w->reader.clock.monotonic)
		return err_set(err, -EXDEV,
			       "other probes are planted in it, which go by the kernel's clock, and its own points go "
			       "by the processor's here");
	if (w->started)
		return 0;
	if (kernel_clock || !kernel_has_tsc(w->options.sysfs) ||
	    tsc_clock_start(w->options.procfs, &w->reader.clock, NULL) < 0)
		tsc_clock_monotonic(&w->reader.clock);
	w->started = true;
	return 0;
}

/* While much is written, it is read more often than whoever drains does by himself. */
static void set_timer(struct woven *w, bool often)
{
	const struct itimerspec each = {{0, often ? BUSY_DRAIN_NS : 0}, {0, often ? BUSY_DRAIN_NS : 0}};

	if (w->often != often && timerfd_settime(w->timer, 0, &each, NULL) == 0)
		w->often = often;
}

/* What is counted of it stays. */
static void forget(struct woven *w, uint32_t target)
{
	for (struct woven_process **at = &w->processes; *at;) {
		struct woven_process *p = *at;

		if (p->target != target) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		keep_counts(w, p);
		process_free(p);
	}
}

/* A file has one table, whichever program follows contexts by it. */
static const struct context_table *table_of(const struct woven_probe *probes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (probes[i].program->contexts)
			return probes[i].program->contexts;
	return NULL;
}

/* Without it spans are seen whose parents are not known. */
static void give_contexts(struct woven *w, const struct woven_target *t, const struct context_table *table,
			  struct woven_memory *m)
{
	struct woven_contexts head = {.low = UINT64_MAX, .itab_type_off = table->itab_type_off};
	_cleanup_(buf_done) struct buf bytes = {0};
	int r;

	for (size_t i = 0; i < t->image->nsegments; i++) {
		const struct image_segment *s = &t->image->segments[i];

		head.low = MIN(head.low, s->vaddr + t->bias);
		head.high = MAX(head.high, s->vaddr + s->memsz + t->bias);
	}
	buf_append(&bytes, &head, sizeof(head));
	contexts_put(table, t->bias, &bytes);
	r = woven_contexts_put(m, bytes.data, bytes.len);
	if (r < 0 && w->options.note)
		w->options.note(w->options.note_arg,
				"process %d cannot follow contexts, so parents are not known that only these tell: %s",
				t->pid, r == -E2BIG ? "its recorder has no room for all their types" : strerror(-r));
}

/* Without it captures are absent that look into what is another package's alone. */
static void give_facts(struct woven *w, const struct woven_target *t, struct woven_memory *m)
{
	_cleanup_(cleanup_free) struct woven_fact_place *facts = xcalloc(t->nknown + 1, sizeof(*facts));
	int r;

	for (size_t i = 0; i < t->nknown; i++)
		facts[i] = (struct woven_fact_place){t->known[i].key,
						     t->known[i].value + (t->known[i].is_address ? t->bias : 0)};
	r = woven_facts_put(m, facts, t->nknown);
	if (r < 0 && w->options.note)
		w->options.note(w->options.note_arg,
				"process %d looks into no types of other packages, so attributes are missing: %s",
				t->pid,
				r == -E2BIG ? "its recorder has no room for all of them" : strerror(-r));
}

int woven_attach(struct woven *w, const struct woven_target *t, const struct woven_probe *probes, size_t n,
		 struct err *err)
{
	const struct context_table *contexts = table_of(probes, n);
	struct woven_process *p = xcalloc(1, sizeof(*p));
	int r;

	forget(w, t->id); /* one that was detached for a while */
	r = woven_memory_open(w->options.procfs, t->pid, &p->memory, err);
	p->woven = w;
	p->target = t->id;
	p->bias = t->bias;
	p->rewriter = (struct ring_rewriter){rewrite, p};
	if (!r)
		r = start(w, t->kernel_clock, err);
	if (!r)
		r = know_probes(w, probes, n, err);
	if (!r)
		give_facts(w, t, &p->memory);
	if (!r && contexts)
		give_contexts(w, t, contexts, &p->memory);
	if (!r) {
		copy_probes(p, probes, n);
		r = begin(p, err);
	}
	if (r < 0) {
		process_free(p);
		return r;
	}
	p->next = w->processes;
	w->processes = p;
	return 0;
}

static void end_session(struct woven_process *p)
{
	p->ended = true;
	if (woven_session_end(&p->memory) == -EBUSY && p->woven->options.note)
		p->woven->options.note(p->woven->options.note_arg,
				       "a thread of the woven program stands still in the middle of a record, which is "
				       "not seen");
}

void woven_detach(struct woven *w, uint32_t target)
{
	for (struct woven_process *p = w->processes; p; p = p->next)
		if (p->target == target && !p->ended)
			end_session(p);
}

/* What it had written since our last look is gone; from now on it writes again, and counts from 0. */
static void begin_again(struct woven *w, struct woven_process *p)
{
	const uint64_t written = woven_records(&p->memory);
	struct err err = {0};

	w->thrown_away += written - MIN(p->taken, written);
	pairing_lost(w->reader.pairing, p->target);
	w->reader.losing = true;
	keep_counts(w, p);
	for (size_t i = 0; i < p->nprobes; i++)
		p->probes[i].taken = 0;
	pool_done(&p->ring.pool);
	p->ring.area = NULL;
	if (begin(p, &err) < 0 && w->options.note)
		w->options.note(w->options.note_arg, "a woven program has stopped recording, since this earshot stood "
				"still for too long, and does not begin again: %s", err.text);
}

/* ---- the source ---- */

static int source_fd(struct event_source *s)
{
	return of_source(s)->timer;
}

static int source_drain(struct event_source *s, plant_event_fn fn, void *arg)
{
	struct woven *w = of_source(s);
	VEC(struct ring *) rings = {0};
	uint64_t ticks;
	int n;

	if (!w->processes && !w->reader.records.len && !w->often)
		return 0;
	while (w->often && read(w->timer, &ticks, sizeof(ticks)) > 0)
		;
	for (struct woven_process *p = w->processes; p; p = p->next) {
		if (p->ring.area && !p->ended && woven_session_lost(&p->memory))
			begin_again(w, p);
		vec_push(&rings, &p->ring);
	}
	n = ring_drain(&w->reader, rings.data, rings.len, fn, arg);
	vec_done(&rings);
	set_timer(w, w->reader.busy);
	return n;
}

static bool source_idle(struct event_source *s)
{
	return !of_source(s)->processes && !of_source(s)->reader.records.len;
}

static uint64_t source_complete_ns(struct event_source *s)
{
	return source_idle(s) ? UINT64_MAX : of_source(s)->reader.until_ns;
}

static void source_losses(struct event_source *s, struct losses *ret)
{
	struct woven *w = of_source(s);

	losses_of(w, 0, ret);
	ret->count[LOSS_RING_FULL] += w->thrown_away;
	ret->count[LOSS_MARKS_FULL] += w->marks_full;
	for (const struct woven_process *p = w->processes; p; p = p->next)
		ret->count[LOSS_MARKS_FULL] += marks_full_of(p);
	ret->count[LOSS_BAD_RECORD] += w->reader.damaged;
}

static void source_probe_losses(struct event_source *s, uint32_t probe, struct losses *ret)
{
	losses_of(of_source(s), probe, ret);
}

static void source_forget(struct event_source *s, uint32_t target)
{
	forget(of_source(s), target);
	pairing_forget(of_source(s)->reader.pairing, target);
}

/* Whether another probe of that process is about the same point. */
static bool shares(const struct woven_process *p, const struct recorded *r)
{
	return p->by_index[r->index] != r || r->next;
}

/* Whether the recorder cannot tell which of its records count: those for which a condition holds do. */
static bool tested_here(const struct woven *w, uint32_t probe)
{
	for (const struct woven_process *p = w->processes; p; p = p->next)
		for (size_t i = 0; i < p->nprobes; i++)
			if (p->probes[i].p.id == probe && p->probes[i].p.answer &&
			    capture_has_filter(p->probes[i].p.program))
				return true;
	return false;
}

static bool shared_anywhere(const struct woven *w, uint32_t probe)
{
	for (const struct woven_process *p = w->processes; p; p = p->next)
		for (size_t i = 0; p->ring.area && i < p->nprobes; i++)
			if (p->probes[i].p.id == probe && shares(p, &p->probes[i]))
				return true;
	return false;
}

static int source_control(struct event_source *s, uint32_t probe, const struct plant_control *c)
{
	struct woven *w = of_source(s);
	struct plant_control rest = *c, *kept = map_get(&w->every, probe + UINT64_C(1));

	if (!shared_anywhere(w, probe) && !tested_here(w, probe) && (c->every > 1 || kept)) {
		if (!kept) {
			kept = xcalloc(1, sizeof(*kept));
			map_set(&w->every, probe + UINT64_C(1), kept);
		}
		*kept = *c;
		rest.every = 0;
	}
	pairing_control(w->reader.pairing, probe, &rest);
	for (const struct woven_process *p = w->processes; p; p = p->next)
		for (size_t i = 0; p->ring.area && i < p->nprobes; i++)
			if (p->probes[i].p.id == probe && !shares(p, &p->probes[i]))
				apply_every(w, &p->probes[i], &p->memory);
	return 0;
}

static uint64_t source_hits(struct event_source *s, uint32_t probe)
{
	struct woven *w = of_source(s);
	const struct left *l = map_get(&w->left, probe + UINT64_C(1));
	uint64_t n = l ? l->hits : 0;

	for (const struct woven_process *p = w->processes; p; p = p->next)
		for (size_t i = 0; p->ring.area && i < p->nprobes; i++)
			if (p->probes[i].p.id == probe)
				n += hits_of(p, &p->probes[i]);
	return n;
}

static int source_aggregates(struct event_source *s, bool clear, plant_group_fn fn, void *arg)
{
	return aggregates_read(of_source(s)->reader.aggregates, clear, fn, arg);
}

static int source_open_calls(struct event_source *s, uint32_t target, bool take, plant_event_fn fn, void *arg)
{
	return pairing_open_calls(of_source(s)->reader.pairing, target, take, fn, arg);
}

static const struct event_source_ops woven_source_ops = {
	.fd = source_fd,
	.drain = source_drain,
	.idle = source_idle,
	.complete_ns = source_complete_ns,
	.losses = source_losses,
	.probe_losses = source_probe_losses,
	.forget_target = source_forget,
	.control = source_control,
	.hits = source_hits,
	.aggregates = source_aggregates,
	.open_calls = source_open_calls,
};

struct event_source *woven_source(struct woven *w)
{
	return &w->source;
}

/* ---- beginning and end ---- */

int woven_open(const struct woven_options *o, struct woven **ret, struct err *err)
{
	struct woven *w = xcalloc(1, sizeof(*w));

	w->source.ops = &woven_source_ops;
	w->options = *o;
	w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	w->editor = (struct ring_editor){answer_return, w};
	w->reader.pairing = pairing_new(o->max_calls);
	w->reader.aggregates = aggregates_new(o->max_groups);
	w->budget = (uint64_t)(chunks_of(w, CHUNKS_MOST) - chunks_of(w, CHUNKS_DEFAULT)) * RING_CHUNK;
	if (w->timer < 0) {
		int r = err_set(err, -errno, "cannot make a timer: %s", strerror(errno));

		woven_close(w);
		return r;
	}
	*ret = w;
	return 0;
}

static void free_values(struct map *m)
{
	void *value;

	for (size_t i = 0; map_next(m, &i, NULL, &value);)
		free(value);
	map_done(m);
}

void woven_close(struct woven *w)
{
	if (!w)
		return;
	while (w->processes) {
		struct woven_process *p = w->processes;

		w->processes = p->next;
		process_free(p);
	}
	free_values(&w->left);
	free_values(&w->every);
	free_values(&w->returns);
	buf_done(&w->sample);
	ring_reader_done(&w->reader);
	pairing_free(w->reader.pairing);
	aggregates_free(w->reader.aggregates);
	close_fd(w->timer);
	free(w);
}
