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

#define OWN 4096

struct head {
	uint64_t read[2], write[2];
	uint8_t kinds[4]; /* roles of the probes 1 … 4 */
	uint8_t reserved[4];
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

static void fill(struct patched *d, const struct head *h, const uint8_t *data, size_t size)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct patch_slot *s = patch_area_slot(d->area, i);
		size_t half = size / 2, ring = d->layout.ring_bytes;

		s->read = h->read[i];
		s->write = h->write[i] % 4 ? h->read[i] + h->write[i] % (2 * ring) : h->write[i];
		for (size_t k = 0; k < half; k++) /* from where the consumer is, around the end */
			patch_slot_ring(s)[(s->read + k) & (ring - 1)] = data[i * half + k];
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum program_role roles[] = {PROGRAM_POINT, PROGRAM_ENTRY, PROGRAM_RETURN, PROGRAM_UNWIND};
	static struct tsc_clock clock;
	static bool started;
	struct planter p = {0};
	struct patched d = {.target = 1};
	volatile unsigned sink;
	unsigned total = 0;
	struct head h;

	if (size < sizeof(h) || patch_area_layout(1, 1, PATCH_MIN_RING, 1, PATCH_SAVED_WAYS, &d.layout, NULL))
		return 0;
	if (!started) /* it takes a while */
		started = !tsc_clock_start("/proc", &clock, NULL);
	p.clock = clock;
	memcpy(&h, data, sizeof(h));
	d.memory = calloc(1, OWN + d.layout.bytes);
	d.area = (struct patch_area *)(void *)(d.memory + OWN);
	*d.area = d.layout;
	fill(&d, &h, data + sizeof(h), MIN(size - sizeof(h), 2 * d.layout.ring_bytes));
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
	free(d.memory);
	sink = total;
	(void)sink;
	return 0;
}
