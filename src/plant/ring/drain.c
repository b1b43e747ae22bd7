/*
 * From the rings of all processes to the consumer, in the order of time. A goroutine moves between Ps, so its
 * records lie in several rings, of which one is looked at before the other. Nothing is out of order for a
 * goroutine if only what was written before we began to look is handed over, sorted: a record that an earlier
 * one of the same goroutine preceded was stamped after that one was complete. The rest waits for the next time, as does
 * all that is newer than what was left in a ring: where there is much, it goes by rounds, so that what was read is
 * still in the caches when it is used.
 *
 * What is in a ring was written inside of the program, where a bug may write anything: every size is checked.
 */
#include "plant/ring/drain.h"

#include <string.h>

#include "base/clock.h"

#define KEPT_MAX (1u << 20)     /* bytes of our memory that a burst leaves us with */
#define ROUND_BYTES (256u << 10) /* read, until it is handed over: a part of what a CPU's caches hold */
#define ROUNDS 1024             /* of a drain: whoever writes faster than we read does not keep us here */
#define PASSES 64               /* of a collection, likewise */
#define COLLECT_RECORDS 1024    /* handed over, until we look at the time */
#define COLLECT_NS 2000000u
#define COLLECT_BYTES (1u << 20) /* read then: where we just had no CPU for a while, nothing is in a hurry */
#define WAITING_MAX (64u << 20) /* bytes a drain takes, and a segment of each slot; more is left in the rings for the
				 * next one */
#define BUSY_SHARE 64           /* such a part of what rings surely hold is much */
#define ROOMY (16u << 20)       /* bytes: less than that fills before anybody has seen that it is busy */

static bool damaged(const struct ring_entry *e, uint64_t left, uint64_t ring_left)
{
	return e->size < sizeof(*e) || e->size % 8 || e->size > left || e->size > ring_left ||
	       ((e->kind & RING_KIND_MASK) == RING_ENTRY_RECORD &&
		e->size < sizeof(*e) + sizeof(struct event_header));
}

/* What was appended to the reader's bytes from off on. */
static void take_rewritten(struct ring_reader *r, uint64_t tsc, size_t off, uint32_t epoch)
{
	while (off < r->bytes.len) {
		uint32_t size;

		memcpy(&size, r->bytes.data + off, sizeof(size));
		vec_push(&r->records, ((struct waiting){tsc, r->order++, off, size, epoch}));
		off += size;
	}
}

/* From a copy that nobody else can change. */
static void rewrite_record(struct ring_reader *r, struct ring *g, const struct event_header *h, const uint8_t *record,
			   uint32_t epoch)
{
	const size_t off = r->bytes.len;
	struct event_header head = *h;
	struct event e;

	head.time_ns = tsc_clock_ns(&r->clock, h->time_ns);
	head.target = g->layout->target;
	buf_reset(&r->one);
	buf_append(&r->one, &head, sizeof(head));
	buf_append(&r->one, record + sizeof(head), h->size - sizeof(head));
	if (!event_decode(r->one.data, h->size, &e)) {
		r->damaged++;
		return;
	}
	g->rewriter->rewrite(g->rewriter->arg, &e, &r->bytes);
	take_rewritten(r, h->time_ns, off, epoch);
}

static void take_record(struct ring_reader *r, struct ring *g, const uint8_t *record, uint32_t room, uint32_t epoch)
{
	struct event_header h;

	memcpy(&h, record, sizeof(h));
	if (h.size < sizeof(h) || h.size > room || h.size % 8) {
		r->damaged++;
		return;
	}
	if (g->rewriter) {
		rewrite_record(r, g, &h, record, epoch);
		return;
	}
	vec_push(&r->records, ((struct waiting){h.time_ns, r->order++, r->bytes.len, h.size, epoch}));
	h.time_ns = tsc_clock_ns(&r->clock, h.time_ns);
	buf_append(&r->bytes, record, h.size);
	memcpy(r->bytes.data + r->bytes.len - h.size, &h, sizeof(h));
}

/* The chunk in which that position of the slot lies; NULL: there is none that could be it. */
static const uint8_t *chunk_at(struct ring *g, const struct ring_slot *s, uint32_t slot, uint64_t pos)
{
	if (pos % RING_CHUNK)
		return pool_current(&g->pool, slot);
	return pool_enter(&g->pool, slot, __atomic_load_n(ring_slot_chunk(s, g->layout, pos), __ATOMIC_RELAXED));
}

/*
 * From a position to where a segment ends, or to the one where writing ends. Where it stopped; `to`: also after damage.
 */
static uint64_t read_segment(struct ring_reader *r, struct ring *g, const uint8_t *chunk, uint64_t from, uint64_t to)
{
	while (from != to) {
		uint64_t at = from % RING_CHUNK;
		struct ring_entry e;

		memcpy(&e, chunk + at, sizeof(e));
		if (damaged(&e, to - from, RING_CHUNK - at)) {
			r->damaged++;
			return to;
		}
		if ((e.kind & RING_KIND_MASK) == RING_ENTRY_RECORD)
			take_record(r, g, chunk + at + sizeof(e), e.size - (uint32_t)sizeof(e), e.kind);
		from += e.size;
	}
	return from;
}

/*
 * How much of a slot is read: nothing where its last record is newer than `newest`. Else until the reader has `most`
 * bytes, but a segment in any case; 0: nothing.
 */
struct reading {
	uint64_t newest;
	size_t most;
};

/* How many bytes waited; *all becomes false where some still do. */
static uint64_t drain_slot(struct ring_reader *r, struct ring *g, struct ring_slot *s, uint32_t slot,
			   const struct reading *how, bool *all)
{
	uint64_t write = __atomic_load_n(&s->write, __ATOMIC_ACQUIRE), read = s->read, waited = write - read;
	const size_t before = r->records.len, most = g->pool.last_tsc[slot] <= how->newest ? how->most : 0;

	if (waited > (uint64_t)g->layout->chunks * RING_CHUNK) { /* cannot be */
		r->damaged++;
		pool_leave(&g->pool, slot);
		read = write;
		waited = 0;
	}
	for (bool first = true; read != write && most && (first || r->bytes.len < most); first = false) {
		/* positions may wrap */
		const uint64_t end = read + MIN(write - read, RING_CHUNK - read % RING_CHUNK);
		const uint8_t *chunk = chunk_at(g, s, slot, read);

		r->damaged += !chunk;
		read = chunk ? read_segment(r, g, chunk, read, end) : end;
		if (read % RING_CHUNK == 0)
			pool_leave(&g->pool, slot);
	}
	__atomic_store_n(&s->read, read, __ATOMIC_RELEASE);
	if (r->records.len > before)
		g->pool.last_tsc[slot] = r->records.data[r->records.len - 1].tsc;
	if (read != write)
		r->left_tsc = MIN(r->left_tsc, g->pool.last_tsc[slot]);
	*all &= read == write;
	return waited;
}

/* From nothing to a full pool in one interval would take a program that suddenly writes BUSY_SHARE times as fast. */
static bool is_busy(const struct ring *g, uint64_t waited)
{
	const uint64_t sure = (uint64_t)g->pool.first * RING_CHUNK;

	return sure < ROOMY || waited > sure / BUSY_SHARE;
}

static void look_for_loss(struct ring_reader *r, struct ring *g)
{
	uint64_t n = __atomic_load_n(&g->area->ring_full, __ATOMIC_RELAXED);

	if (n == g->full)
		return;
	g->full = n;
	r->losing = true;
	pairing_lost(r->pairing, g->layout->target);
}

static bool read_ring(struct ring_reader *r, struct ring *g, const struct reading *how)
{
	uint64_t waited = 0;
	bool all = true;

	__atomic_store_n(&g->area->heartbeat_tsc, tsc_clock_now(&r->clock), __ATOMIC_RELEASE);
	if (g->beat)
		__atomic_store_n(g->beat, *g->beat + 1, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < g->layout->procs + g->layout->extra; i++)
		waited += drain_slot(r, g, ring_slot_at(g->area, g->layout, i), i, how, &all);
	r->busy |= is_busy(g, waited);
	pool_adjust(&g->pool, waited, clock_monotonic_ns());
	look_for_loss(r, g);
	if (__atomic_load_n(&g->area->on, __ATOMIC_ACQUIRE))
		return all;
	for (size_t i = 0; i < RING_EPOCHS; i++) /* whoever ran meanwhile wrote nothing */
		__atomic_add_fetch(&g->area->lost[i], 1, __ATOMIC_RELEASE);
	__atomic_store_n(&g->area->on, 1, __ATOMIC_RELEASE);
	return all;
}

bool ring_read(struct ring_reader *r, struct ring *g)
{
	return read_ring(r, g, &(struct reading){UINT64_MAX, WAITING_MAX});
}

static bool in_order(const struct waiting *a, const struct waiting *b)
{
	return a->tsc < b->tsc || (a->tsc == b->tsc && a->order <= b->order);
}

/* Where what is in order from there on ends. */
static size_t run_end(const struct waiting *w, size_t from, size_t n)
{
	size_t i = from + 1;

	while (i < n && in_order(&w[i - 1], &w[i]))
		i++;
	return MIN(i, n);
}

/* Two runs, from a and from b on, to the same places of `to`. */
static void merge(const struct waiting *w, size_t a, size_t b, size_t end, struct waiting *to)
{
	const struct waiting *x = w + a, *y = w + b, *x_end = y, *y_end = w + end;

	for (to += a; x < x_end && y < y_end; to++)
		*to = in_order(x, y) ? *x++ : *y++;
	memcpy(to, x, (size_t)(x_end - x) * sizeof(*to));
	memcpy(to + (x_end - x), y, (size_t)(y_end - y) * sizeof(*to));
}

/* All runs, two by two. How many are left. */
static size_t merge_runs(const struct waiting *w, size_t n, struct waiting *to)
{
	size_t runs = 0, middle, end;

	for (size_t at = 0; at < n; at = end, runs++) {
		middle = run_end(w, at, n);
		end = middle < n ? run_end(w, middle, n) : n;
		merge(w, at, middle, end, to);
	}
	return runs;
}

/* What is in one ring is nearly always in order, and there are few of them: qsort takes several times as long. */
static void sort(struct ring_reader *r)
{
	const size_t n = r->records.len;
	size_t runs = n && run_end(r->records.data, 0, n) < n ? 2 : 1;

	while (runs > 1) {
		waiting_list from = r->records;

		vec_reserve(&r->sorted, n);
		runs = merge_runs(from.data, n, r->sorted.data);
		r->sorted.len = n;
		r->records = r->sorted;
		r->sorted = from;
	}
}

static void forget_burst(struct ring_reader *r)
{
	if (r->spare.cap > KEPT_MAX)
		buf_done(&r->spare);
	if (r->sorted.cap > KEPT_MAX / sizeof(struct waiting))
		vec_done(&r->sorted);
	if (!r->records.len && r->records.cap > KEPT_MAX / sizeof(struct waiting))
		vec_done(&r->records);
}

/* Those from first on stay, at the start of other memory. */
static void keep(struct ring_reader *r, size_t first)
{
	struct buf bytes = r->spare;
	size_t n = 0;

	buf_reset(&bytes);
	for (size_t i = first; i < r->records.len; i++) {
		struct waiting w = r->records.data[i];
		size_t off = bytes.len;

		buf_append(&bytes, r->bytes.data + w.off, w.size);
		w.off = off;
		r->records.data[n++] = w;
	}
	r->records.len = n;
	r->spare = r->bytes;
	r->bytes = bytes;
	forget_burst(r);
}

struct wanting {
	struct aggregates *aggregates;
	const struct ring_editor *editor;
	plant_event_fn fn;
	void *arg;
};

static void on_paired(void *arg, const void *sample, size_t size)
{
	const struct wanting *w = arg;

	if (w->editor && !w->editor->edit(w->editor->arg, sample, size, &sample, &size))
		return;
	if (aggregates_take(w->aggregates, sample, size))
		w->fn(w->arg, sample, size);
}

static void take_waiting(struct ring_reader *r, const struct waiting *at, struct wanting *w)
{
	const char *record = r->bytes.data + at->off;
	struct event e;

	if (event_decode(record, at->size, &e))
		pairing_take(r->pairing, record, at->epoch, on_paired, w);
	else
		r->damaged++;
}

struct ring_set {
	struct ring *const *rings;
	size_t n;
};

/*
 * From the rings of all: those that must wait come behind the records that are there, not in order. The slots that are
 * behind come first: else what the others have would be read, kept, and copied by each round until these are as far.
 */
static void collect(struct ring_reader *r, const struct ring_set *set, size_t most)
{
	int passes = 0;

	do {
		const struct reading how = {r->left_tsc, most};

		r->left_tsc = UINT64_MAX;
		for (size_t i = 0; i < set->n; i++)
			if (set->rings[i]->area)
				read_ring(r, set->rings[i], &how);
	} while (r->left_tsc != UINT64_MAX && r->bytes.len < most && ++passes < PASSES);
}

/* Whoever takes the records may need long for them: the rings are emptied meanwhile. */
static size_t hand_over(struct ring_reader *r, const struct ring_set *set, uint64_t until, bool losing,
			struct wanting *w)
{
	const size_t n = r->records.len;
	uint64_t last_ns = clock_monotonic_ns();
	size_t i;

	for (i = 0; i < n && (int64_t)(until - r->records.data[i].tsc) >= 0; i++) {
		const struct waiting at = r->records.data[i];

		take_waiting(r, &at, w);
		if (i % COLLECT_RECORDS || clock_monotonic_ns() - last_ns < COLLECT_NS)
			continue;
		collect(r, set, r->bytes.len < WAITING_MAX ? MIN(r->bytes.len + COLLECT_BYTES, WAITING_MAX) : 0);
		pairing_losing(r->pairing, losing || r->losing);
		last_ns = clock_monotonic_ns();
	}
	return i;
}

/*
 * Reads a part of what there is, and hands over what nothing can come before any more. How many records. What it has
 * left in the rings is newer than *ret_left.
 */
static size_t drain_round(struct ring_reader *r, const struct ring_set *set, bool lost_before, struct wanting *w,
			  uint64_t *ret_left)
{
	uint64_t until = tsc_clock_now(&r->clock);
	bool losing;
	size_t given;

	collect(r, set, ROUND_BYTES);
	*ret_left = r->left_tsc;
	until = MIN(until, *ret_left);
	r->until_ns = tsc_clock_ns(&r->clock, until);
	losing = r->losing || lost_before;
	pairing_losing(r->pairing, losing);
	sort(r);
	given = hand_over(r, set, until, losing, w);
	keep(r, given);
	return given;
}

int ring_drain(struct ring_reader *r, struct ring *const *rings, size_t n, plant_event_fn fn, void *arg)
{
	const struct ring_set set = {rings, n};
	struct wanting wanting = {r->aggregates, r->editor, fn, arg};
	const bool lost_before = TAKE(r->losing);
	uint64_t began, left;
	size_t given = 0;
	int rounds = 0;

	r->busy = false;
	tsc_clock_tick(&r->clock);
	began = tsc_clock_now(&r->clock);
	do
		given += drain_round(r, &set, lost_before, &wanting, &left);
	while (left < began && r->bytes.len < WAITING_MAX && ++rounds < ROUNDS);
	return (int)given;
}

void ring_reader_done(struct ring_reader *r)
{
	buf_done(&r->bytes);
	buf_done(&r->spare);
	buf_done(&r->one);
	vec_done(&r->records);
	vec_done(&r->sorted);
}
