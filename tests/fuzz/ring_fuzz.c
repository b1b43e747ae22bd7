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
	uint8_t *pool = (uint8_t *)d->area + d->layout.ring.pool_off;

	for (uint32_t i = 0; i < 2; i++) {
		struct patch_slot *s = patch_area_slot(d->area, i);
		size_t half = size / 2, table = MIN(half, 64u);
		const uint8_t *from = data + i * half;

		s->ring.read = h->read[i] & ~UINT64_C(7);
		s->ring.write = h->write[i] % 4 ? s->ring.read + h->write[i] % (CHUNKS * RING_CHUNK) : h->write[i];
		for (uint32_t k = 0; k < d->layout.ring.table_len; k++)
			*ring_slot_chunk(&s->ring, &d->layout.ring, (uint64_t)k * RING_CHUNK) =
				table ? from[half - table + k % table] % (CHUNKS + 2) : 0;
		for (size_t k = 0; k < half; k++)
			pool[(i * CHUNKS / 2 * RING_CHUNK + s->ring.read % RING_CHUNK + k) % (CHUNKS * RING_CHUNK)] =
			    from[k];
		if (h->reserved[i] % 2) /* it was in the middle of one */
			pool_enter(&d->ring.pool, i, h->reserved[i + 2] % (CHUNKS + 2));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum program_role roles[] = {PROGRAM_POINT, PROGRAM_ENTRY, PROGRAM_RETURN, PROGRAM_UNWIND};
	static struct tsc_clock clock;
	static bool started;
	struct ring_reader p = {0};
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
	d.memory = calloc(1, OWN + d.layout.ring.pool_off + CHUNKS * RING_CHUNK);
	d.area = (struct patch_area *)(void *)(d.memory + OWN);
	*d.area = d.layout;
	d.ring.area = &d.area->ring;
	d.ring.layout = &d.layout.ring;
	pool_init(&d.ring.pool, &d.area->ring, &d.layout.ring, (uint8_t *)d.area + d.layout.ring.pool_off, CHUNKS);
	fill(&d, &h, data + sizeof(h), MIN(size - sizeof(h), CHUNKS * RING_CHUNK));
	p.pairing = pairing_new(0);
	p.aggregates = aggregates_new(0);
	for (uint32_t i = 0; i < 4; i++)
		pairing_add(p.pairing, i + 1, roles[h.kinds[i] % ARRAY_SIZE(roles)], 1, 0x1000);
	for (int i = 0; i < 3; i++)
		ring_drain(&p, (struct ring *[]){&d.ring}, 1, on_sample, &total);
	if (patch_area_slot(d.area, 0)->ring.read != patch_area_slot(d.area, 0)->ring.write)
		abort();
	pairing_open_calls(p.pairing, 1, true, on_sample, &total);
	pairing_free(p.pairing);
	aggregates_free(p.aggregates);
	ring_reader_done(&p);
	pool_done(&d.ring.pool);
	free(d.memory);
	sink = total;
	(void)sink;
	return 0;
}
