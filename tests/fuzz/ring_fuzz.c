/*
 * Bytes as the rings of a program, which may write anything there: whoever drains stays within, hands over only records
 * that decode, and comes to the end.
 *
 * The first bytes say where the consumer and the producer are; the rest is the rings' contents.
 */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "plant/patch/patch.h"

#define OWN shared_head_bytes(0)
#define CHUNKS 8

struct head {
	uint64_t read[2], write[2];
	uint8_t kinds[4]; /* roles of the probes 1 … 4 */
	uint8_t reserved[4]; /* whether a slot is in the middle of a chunk, and of which */
};

static void on_sample(void *arg, const void *sample, size_t size)
{
	unsigned *total = arg;
	struct event e[2];
	size_t n = 0;

	*total += ((const uint8_t *)sample)[size - 1];
	if (event_decode_sample(sample, size, e, &n))
		*total += e[0].head->slots;
}

/* Half of the bytes are a slot's, from where the consumer is; the last 64 of them are its table, repeated. */
static void fill(struct patched *d, const struct head *h, const uint8_t *data, size_t size)
{
	uint8_t *pool = (uint8_t *)d->area + d->layout.pool_off;

	for (uint32_t i = 0; i < 2; i++) {
		struct patch_slot *s = patch_area_slot(d->area, i);
		size_t half = size / 2, table = MIN(half, 64u);
		const uint8_t *from = data + i * half;

		s->read = h->read[i] & ~UINT64_C(7);
		s->write = h->write[i] % 4 ? s->read + h->write[i] % (CHUNKS * PATCH_CHUNK) : h->write[i];
		for (uint32_t k = 0; k < d->layout.table_len; k++)
			*patch_slot_chunk(s, &d->layout, (uint64_t)k * PATCH_CHUNK) =
				table ? from[half - table + k % table] % (CHUNKS + 2) : 0;
		for (size_t k = 0; k < half; k++)
			pool[(i * CHUNKS / 2 * PATCH_CHUNK + s->read % PATCH_CHUNK + k) % (CHUNKS * PATCH_CHUNK)] =
			    from[k];
		if (h->reserved[i] % 2) /* it was in the middle of one */
			pool_enter(&d->pool, i, h->reserved[i + 2] % (CHUNKS + 2));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum program_role roles[] = {PROGRAM_POINT, PROGRAM_ENTRY, PROGRAM_RETURN, PROGRAM_UNWIND};
	static struct tsc_clock clock;
	static bool started;
	struct patch_planter p = {0};
	struct patched d = {.target = 1};
	volatile unsigned sink;
	unsigned total = 0;
	struct head h;

	if (size < sizeof(h) || patch_area_layout(1, 1, CHUNKS, 1, PATCH_SAVED_WAYS, &d.layout, NULL))
		return 0;
	if (!started) /* it takes a while */
		started = !tsc_clock_start("/proc", &clock, NULL);
	p.clock = clock;
	memcpy(&h, data, sizeof(h));
	d.memory = calloc(1, OWN + d.layout.pool_off + CHUNKS * PATCH_CHUNK);
	d.area = (struct patch_area *)(void *)(d.memory + OWN);
	*d.area = d.layout;
	pool_init(&d.pool, d.area, &d.layout, (uint8_t *)d.area + d.layout.pool_off, CHUNKS);
	fill(&d, &h, data + sizeof(h), MIN(size - sizeof(h), CHUNKS * PATCH_CHUNK));
	p.patched = &d;
	p.join = patch_join_new(0);
	p.aggregates = aggregates_new(0);
	for (uint32_t i = 0; i < 4; i++)
		patch_join_add(p.join, i + 1, roles[h.kinds[i] % ARRAY_SIZE(roles)], 1, 0x1000);
	for (int i = 0; i < 3; i++)
		drain_all(&p, on_sample, &total);
	if (patch_area_slot(d.area, 0)->read != patch_area_slot(d.area, 0)->write)
		abort();
	patch_join_open_calls(p.join, 1, true, on_sample, &total);
	patch_join_free(p.join);
	aggregates_free(p.aggregates);
	drain_done(&p.drain);
	pool_done(&d.pool);
	free(d.memory);
	sink = total;
	(void)sink;
	return 0;
}
