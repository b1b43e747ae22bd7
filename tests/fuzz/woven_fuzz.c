/*
 * What comes from woven files and programs: texts of points, the head of their memory, records. The first byte says
 * what the rest is.
 */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "plant/woven.h"
#include "plant/woven/memory.h"
#include "plant/woven/rewrite.h"

static unsigned points(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct woven_point p;
	unsigned sum = 0;
	size_t n = woven_point_parse((const char *)data, size, &arena, &p);

	if (n > size || (n && (!p.func[0] || p.nslots > EVENT_MAX_SLOTS)))
		abort();
	for (size_t i = 0; n && i < p.nslots; i++)
		sum += (unsigned)strlen(p.slots[i].name) + (unsigned)strlen(p.slots[i].kind);
	arena_done(&arena);
	return sum;
}

/* What is taken for good lies within the file. */
static unsigned memory(const uint8_t *data, size_t size)
{
	const uint64_t bytes = UINT64_C(256) << 20;
	struct woven_area a = {0};
	struct err err = {0};

	memcpy(&a, data, MIN(size, sizeof(a)));
	a.ring.magic = WOVEN_MAGIC;
	a.ring.size = sizeof(a);
	if (woven_area_check(&a, bytes, &err))
		return err.text[0] == 0;
	if (a.ring.slots_off + ((uint64_t)a.ring.procs + a.ring.extra) * a.ring.slot_bytes > a.ring.pool_off ||
	    a.ring.pool_off + (uint64_t)a.ring.chunks * RING_CHUNK > bytes ||
	    a.ring.links_off + 4ull * a.ring.chunks > a.ring.slots_off ||
	    a.wanted_off + sizeof(struct woven_wanted) * WOVEN_MAX_WANTED > a.ring.links_off)
		abort();
	return 1;
}

/* A record that is whole stays so, whatever slots are wanted of it. */
static unsigned records(const uint8_t *data, size_t size)
{
	int slots[16];
	struct rewriting to = {.probe = 3, .kind = EVENT_POINT, .slots = slots};
	struct buf out = {0};
	struct event e;
	void *copy;

	if (size < 16)
		return 0;
	to.n = data[0] % 17;
	for (size_t i = 0; i < 16; i++)
		slots[i] = (int8_t)data[i];
	copy = malloc(size - 16 + 1);
	memcpy(copy, data + 16, size - 16);
	if (event_decode(copy, size - 16, &e)) {
		rewriting_append(&to, &e, &out);
		if (out.len && (!event_decode(out.data, out.len, &e) || e.head->slots != to.n || e.head->probe != 3))
			abort();
	}
	free(copy);
	buf_done(&out);
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned (*const what[])(const uint8_t *, size_t) = {points, memory, records};
	volatile unsigned sink;

	if (!size)
		return 0;
	sink = what[data[0] % ARRAY_SIZE(what)](data + 1, size - 1);
	(void)sink;
	return 0;
}
