/*
 * From the rings of all processes to the consumer, in the order of time. A goroutine moves between Ps, so its
 * records lie in several rings, of which one is looked at before the other. Nothing is out of order for a
 * goroutine if only what was written before we began to look is handed over, sorted: a record that an earlier
 * one of the same goroutine preceded was stamped after that one was complete. The rest waits for the next time.
 *
 * What is in a ring was written inside of the program, where a bug may write anything: every size is checked.
 */
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "plant/patch/patch.h"

#define KEPT_MAX (4u << 20)     /* bytes of our memory that a burst leaves us with */
#define COLLECT_RECORDS 1024    /* handed over, until we look at the time */
#define COLLECT_NS 2000000u
#define WAITING_MAX (64u << 20) /* bytes a drain takes; more is left in the rings for the next one */

static bool damaged(const struct patch_entry *e, uint64_t left, uint64_t ring_left)
{
	return e->size < sizeof(*e) || e->size % 8 || e->size > left || e->size > ring_left ||
	       ((e->kind & PATCH_KIND_MASK) == PATCH_ENTRY_RECORD &&
		e->size < sizeof(*e) + sizeof(struct event_header));
}

static void take_record(struct patch_planter *p, const uint8_t *record, uint32_t room, uint32_t epoch)
{
	struct drain *d = &p->drain;
	struct event_header h;

	memcpy(&h, record, sizeof(h));
	if (h.size < sizeof(h) || h.size > room || h.size % 8) {
		d->damaged++;
		return;
	}
	vec_push(&d->records, ((struct waiting){h.time_ns, d->order++, d->bytes.len, h.size, epoch}));
	h.time_ns = tsc_clock_ns(&p->clock, h.time_ns);
	buf_append(&d->bytes, record, h.size);
	memcpy(d->bytes.data + d->bytes.len - h.size, &h, sizeof(h));
}

/* The chunk in which that position of the slot lies; NULL: there is none that could be it. */
static const uint8_t *chunk_at(struct patched *d, const struct patch_slot *s, uint32_t slot, uint64_t pos)
{
	if (pos % PATCH_CHUNK)
		return pool_current(&d->pool, slot);
	return pool_enter(&d->pool, slot, __atomic_load_n(patch_slot_chunk(s, &d->layout, pos), __ATOMIC_RELAXED));
}

/*
 * From a position to where a segment ends, or to the one where writing ends. Where it stopped; `to`: also after damage.
 */
static uint64_t read_segment(struct patch_planter *p, const uint8_t *chunk, uint64_t from, uint64_t to)
{
	while (from != to && p->drain.bytes.len < WAITING_MAX) {
		uint64_t at = from % PATCH_CHUNK;
		struct patch_entry e;

		memcpy(&e, chunk + at, sizeof(e));
		if (damaged(&e, to - from, PATCH_CHUNK - at)) {
			p->drain.damaged++;
			return to;
		}
		if ((e.kind & PATCH_KIND_MASK) == PATCH_ENTRY_RECORD)
			take_record(p, chunk + at + sizeof(e), e.size - (uint32_t)sizeof(e), e.kind);
		from += e.size;
	}
	return from;
}

/* How many bytes waited; *all becomes false where some still do. */
static uint64_t drain_slot(struct patch_planter *p, struct patched *d, struct patch_slot *s, uint32_t slot, bool *all)
{
	uint64_t write = __atomic_load_n(&s->write, __ATOMIC_ACQUIRE), read = s->read, waited = write - read;

	if (waited > (uint64_t)d->layout.chunks * PATCH_CHUNK) { /* cannot be */
		p->drain.damaged++;
		pool_leave(&d->pool, slot);
		read = write;
		waited = 0;
	}
	while (read != write && p->drain.bytes.len < WAITING_MAX) {
		/* positions may wrap */
		const uint64_t end = read + MIN(write - read, PATCH_CHUNK - read % PATCH_CHUNK);
		const uint8_t *chunk = chunk_at(d, s, slot, read);

		p->drain.damaged += !chunk;
		read = chunk ? read_segment(p, chunk, read, end) : end;
		if (read % PATCH_CHUNK == 0)
			pool_leave(&d->pool, slot);
	}
	__atomic_store_n(&s->read, read, __ATOMIC_RELEASE);
	*all &= read == write;
	return waited;
}

static struct patch_slot *slot_at(const struct patched *d, uint32_t i)
{
	return (struct patch_slot *)(void *)((char *)d->area + d->layout.slots_off +
					     (uint64_t)i * d->layout.slot_bytes);
}

static void look_for_loss(struct patch_planter *p, struct patched *d)
{
	uint64_t n = __atomic_load_n(&d->area->ring_full, __ATOMIC_RELAXED);

	if (n == d->ring_full)
		return;
	d->ring_full = n;
	p->drain.losing = true;
	patch_join_lost(p->join, d->target);
}

bool drain_one(struct patch_planter *p, struct patched *d)
{
	uint64_t *beat = (uint64_t *)(void *)(d->memory + SHARED_HEARTBEAT_OFF), waited = 0;
	bool all = true;

	__atomic_store_n(&d->area->heartbeat_tsc, tsc_now(), __ATOMIC_RELEASE);
	__atomic_store_n(beat, *beat + 1, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < d->layout.procs + d->layout.extra; i++)
		waited += drain_slot(p, d, slot_at(d, i), i, &all);
	pool_adjust(&d->pool, waited, clock_monotonic_ns());
	look_for_loss(p, d);
	if (__atomic_load_n(&d->area->on, __ATOMIC_ACQUIRE))
		return all;
	for (size_t i = 0; i < PATCH_EPOCHS; i++) /* whoever ran meanwhile wrote nothing */
		__atomic_add_fetch(&d->area->lost[i], 1, __ATOMIC_RELEASE);
	__atomic_store_n(&d->area->on, 1, __ATOMIC_RELEASE);
	return all;
}

static int by_time(const void *pa, const void *pb)
{
	const struct waiting *a = pa, *b = pb;

	if (a->tsc != b->tsc)
		return a->tsc < b->tsc ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Those from first on stay, at the start of new memory. */
static void keep(struct drain *d, size_t first)
{
	struct buf bytes = {0};
	size_t n = 0;

	for (size_t i = first; i < d->records.len; i++) {
		struct waiting w = d->records.data[i];
		size_t off = bytes.len;

		buf_append(&bytes, d->bytes.data + w.off, w.size);
		w.off = off;
		d->records.data[n++] = w;
	}
	d->records.len = n;
	if (n || d->bytes.cap > KEPT_MAX) {
		buf_done(&d->bytes);
		d->bytes = bytes;
	} else {
		buf_reset(&d->bytes);
	}
	if (!n && d->records.cap > KEPT_MAX / sizeof(struct waiting))
		vec_done(&d->records);
}

struct wanting {
	struct aggregates *aggregates;
	plant_event_fn fn;
	void *arg;
};

static void on_joined(void *arg, const void *sample, size_t size)
{
	const struct wanting *w = arg;

	if (aggregates_take(w->aggregates, sample, size))
		w->fn(w->arg, sample, size);
}

static void take_waiting(struct patch_planter *p, const struct waiting *at, struct wanting *w)
{
	const char *record = p->drain.bytes.data + at->off;
	struct event e;

	if (event_decode(record, at->size, &e))
		patch_join_take(p->join, record, at->epoch, on_joined, w);
	else
		p->drain.damaged++;
}

/* From the rings of all: those that must wait come behind the records that are there, not in order. */
static void collect(struct patch_planter *p)
{
	for (struct patched *at = p->patched; at; at = at->next)
		if (at->memory)
			drain_one(p, at);
}

/* Whoever takes the records may need long for them: the rings are emptied meanwhile. */
static size_t hand_over(struct patch_planter *p, size_t n, uint64_t until, bool losing, struct wanting *w)
{
	struct drain *d = &p->drain;
	uint64_t last_ns = clock_monotonic_ns();
	size_t i;

	for (i = 0; i < n && (int64_t)(until - d->records.data[i].tsc) >= 0; i++) {
		const struct waiting at = d->records.data[i];

		take_waiting(p, &at, w);
		if (i % COLLECT_RECORDS || clock_monotonic_ns() - last_ns < COLLECT_NS)
			continue;
		collect(p);
		patch_join_losing(p->join, losing || d->losing);
		last_ns = clock_monotonic_ns();
	}
	return i;
}

int drain_all(struct patch_planter *p, plant_event_fn fn, void *arg)
{
	struct wanting wanting = {p->aggregates, fn, arg};
	struct drain *d = &p->drain;
	bool lost_before = TAKE(d->losing), losing;
	uint64_t until;
	size_t n;

	tsc_clock_tick(&p->clock);
	until = tsc_now();
	collect(p);
	losing = d->losing || lost_before;
	patch_join_losing(p->join, losing);
	if (d->records.len)
		qsort(d->records.data, d->records.len, sizeof(*d->records.data), by_time);
	n = hand_over(p, d->records.len, until, losing, &wanting);
	keep(d, n);
	return (int)n;
}

void drain_done(struct drain *d)
{
	buf_done(&d->bytes);
	vec_done(&d->records);
}
