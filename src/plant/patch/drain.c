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
#include "plant/patch/patch.h"

#define WAITING_MAX (64u << 20) /* bytes a drain takes; more is left in the rings for the next one */

static bool damaged(const struct patch_entry *e, uint64_t left, uint64_t ring_left)
{
	return e->size < sizeof(*e) || e->size % 8 || e->size > left || e->size > ring_left ||
	       ((e->kind & PATCH_KIND_MASK) == PATCH_ENTRY_RECORD && e->size < sizeof(*e) + sizeof(struct event_header));
}

static void take_record(struct planter *p, const uint8_t *record, uint32_t room, uint32_t epoch)
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

static void drain_slot(struct planter *p, const struct patched *d, struct patch_slot *s)
{
	uint64_t write = __atomic_load_n(&s->write, __ATOMIC_ACQUIRE), read = s->read, size = d->layout.ring_bytes;
	const uint8_t *ring = patch_slot_ring(s);

	if (write - read > size) { /* cannot be */
		p->drain.damaged++;
		read = write;
	}
	while (read != write && p->drain.bytes.len < WAITING_MAX) {
		uint64_t at = read & (size - 1);
		struct patch_entry e;

		memcpy(&e, ring + at, sizeof(e));
		if (damaged(&e, write - read, size - at)) {
			p->drain.damaged++;
			read = write;
			break;
		}
		if ((e.kind & PATCH_KIND_MASK) == PATCH_ENTRY_RECORD)
			take_record(p, ring + at + sizeof(e), e.size - (uint32_t)sizeof(e), e.kind);
		read += e.size;
	}
	__atomic_store_n(&s->read, read, __ATOMIC_RELEASE);
}

static struct patch_slot *slot_at(const struct patched *d, uint32_t i)
{
	return (struct patch_slot *)(void *)((char *)d->area + d->layout.slots_off + (uint64_t)i * d->layout.slot_bytes);
}

static void look_for_loss(struct planter *p, struct patched *d)
{
	uint64_t n = __atomic_load_n(&d->area->ring_full, __ATOMIC_RELAXED);

	if (n == d->ring_full)
		return;
	d->ring_full = n;
	p->drain.losing = true;
	patch_join_lost(p->join, d->target);
}

void drain_one(struct planter *p, struct patched *d)
{
	uint64_t *beat = (uint64_t *)(void *)(d->memory + HAND_BEAT_OFF);

	__atomic_store_n(&d->area->heartbeat_tsc, tsc_now(), __ATOMIC_RELEASE);
	__atomic_store_n(beat, *beat + 1, __ATOMIC_RELEASE);
	for (uint32_t i = 0; i < d->layout.procs + d->layout.extra; i++)
		drain_slot(p, d, slot_at(d, i));
	look_for_loss(p, d);
	if (__atomic_load_n(&d->area->on, __ATOMIC_ACQUIRE))
		return;
	for (size_t i = 0; i < PATCH_EPOCHS; i++) /* whoever ran meanwhile wrote nothing */
		__atomic_add_fetch(&d->area->lost[i], 1, __ATOMIC_RELEASE);
	__atomic_store_n(&d->area->on, 1, __ATOMIC_RELEASE);
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
	if (n) {
		buf_done(&d->bytes);
		d->bytes = bytes;
	} else {
		buf_reset(&d->bytes);
	}
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

static void take_waiting(struct planter *p, const struct waiting *at, struct wanting *w)
{
	const char *record = p->drain.bytes.data + at->off;
	struct event e;

	if (event_decode(record, at->size, &e))
		patch_join_take(p->join, record, at->epoch, on_joined, w);
	else
		p->drain.damaged++;
}

int drain_all(struct planter *p, plant_event_fn fn, void *arg)
{
	struct wanting wanting = {p->aggregates, fn, arg};
	struct drain *d = &p->drain;
	bool lost_before = TAKE(d->losing);
	uint64_t until;
	size_t n;

	tsc_clock_tick(&p->clock);
	until = tsc_now();
	for (struct patched *at = p->patched; at; at = at->next)
		if (at->memory)
			drain_one(p, at);
	patch_join_losing(p->join, d->losing || lost_before);
	if (d->records.len)
		qsort(d->records.data, d->records.len, sizeof(*d->records.data), by_time);
	for (n = 0; n < d->records.len && (int64_t)(until - d->records.data[n].tsc) >= 0; n++)
		take_waiting(p, &d->records.data[n], &wanting);
	keep(d, n);
	return (int)n;
}

void drain_done(struct drain *d)
{
	buf_done(&d->bytes);
	vec_done(&d->records);
}
