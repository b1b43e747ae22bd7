/*
 * Histories of goroutines in two processes, with all that tells parents: contexts, lineage, connections, headers,
 * losses. The input is a list of steps of 8 bytes: what happens, where, links of a chain, the own context and how the
 * chain ends, creator and function, an epoch, ports, stream and header. Few values, so that they meet.
 *
 * Whatever the history: a span's trace is its parent's, no span is its own ancestor, and nothing is counted twice.
 */
#include "fuzz/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/vec.h"
#include "lib/tiny_binary.h"
#include "span/assemble.h"

enum { CHAIN, OWN, CREATOR, START_PC, GOIDGEN, CACHE, CACHE_END, HEADER, LOCAL, REMOTE, STREAM, SLOTS };
enum { STEP = 8, KINDS = 4, POINTS = 3, PROBES = KINDS * POINTS, LOST = 0xf0, PLANTED, LEFT, DAMAGED };

static const struct pack_capture captures[SLOTS] = {
	[CHAIN] = {.use = USE_PARENT_CHAIN}, [OWN] = {.use = USE_OWN_CHAIN},
	[CREATOR] = {.use = USE_CREATOR},    [START_PC] = {.use = USE_START_PC},
	[GOIDGEN] = {.use = USE_GOIDGEN},    [CACHE] = {.use = USE_GOID_CACHE},
	[CACHE_END] = {.use = USE_GOID_CACHE_END},
	[HEADER] = {.name = "header"},	     [LOCAL] = {.name = "local"},
	[REMOTE] = {.name = "remote"},	     [STREAM] = {.name = "stream"},
};
static struct ir_slot slots[SLOTS] = {
	[CHAIN] = {.kind = VALUE_CHAIN},   [OWN] = {.kind = VALUE_CHAIN},    [CREATOR] = {.kind = VALUE_UINT},
	[START_PC] = {.kind = VALUE_PC},   [GOIDGEN] = {.kind = VALUE_UINT}, [CACHE] = {.kind = VALUE_UINT},
	[CACHE_END] = {.kind = VALUE_UINT}, [HEADER] = {.kind = VALUE_STRING}, [LOCAL] = {.kind = VALUE_STRING},
	[REMOTE] = {.kind = VALUE_STRING}, [STREAM] = {.kind = VALUE_INT},
};
static const struct capture_program program = {.slots = slots, .nslots = SLOTS};
static const int identity[SLOTS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
static const struct pack_variant variant = {.captures = captures, .ncaptures = SLOTS};
static const struct pack_connection connection = {{"local", NULL}, {"remote", NULL}, "stream"};
static const char *const titles[] = {"x", NULL};
static const struct pack_span spans[KINDS] = {
	{.kind = SPAN_SERVER, .titles = titles, .traceparent = "header", .connection = &connection},
	{.kind = SPAN_CLIENT, .titles = titles, .connection = &connection},
	{.kind = SPAN_INTERNAL, .titles = titles},
	{.kind = SPAN_CONSUMER, .titles = titles, .traceparent = "header"},
};
static const struct pack_point points[POINTS] = {{.role = POINT_START}, {.role = POINT_END}, {.role = POINT_NOTE}};
static const struct pack pack = {.name = "fuzz"};

struct out {
	uint64_t id, parent;
	uint8_t trace[16];
	enum parent_source source;
};
struct seen_spans {
	VEC(struct out) all;
	struct map by_id; /* id → index + 1 */
	uint64_t random;
};

static uint64_t word(const uint8_t id[8])
{
	uint64_t v;

	memcpy(&v, id, sizeof(v));
	return v;
}

static void on_span(void *arg, const struct span *s)
{
	struct seen_spans *seen = arg;
	struct out *o = vec_add(&seen->all);

	*o = (struct out){.id = word(s->span_id), .parent = word(s->parent_id), .source = s->parent_source};
	memcpy(o->trace, s->trace_id, sizeof(o->trace));
	if (span_has_parent(s) == (s->parent_source == PARENT_NONE || s->parent_source == PARENT_UNKNOWN))
		abort();
	if (map_set(&seen->by_id, o->id, (void *)seen->all.len))
		abort();
}

static uint64_t counting(void *arg)
{
	return ++((struct seen_spans *)arg)->random;
}

static const struct out *parent_of(const struct seen_spans *seen, const struct out *o)
{
	bool ours = o->source >= PARENT_CONTEXT && o->source <= PARENT_CONNECTION;
	size_t at = ours ? (size_t)map_get(&seen->by_id, o->parent) : 0;

	return at ? &seen->all.data[at - 1] : NULL;
}

static void check(const struct seen_spans *seen)
{
	for (size_t i = 0; i < seen->all.len; i++) {
		const struct out *o = &seen->all.data[i], *p = parent_of(seen, o);
		size_t steps = 0;

		if (p && memcmp(p->trace, o->trace, sizeof(o->trace)))
			abort();
		for (; p; p = parent_of(seen, p))
			if (++steps > seen->all.len)
				abort();
	}
}

struct step {
	_Alignas(8) char bytes[EVENT_MAX_SIZE];
	struct event_header *head;
	struct event_slot *slots;
};

static void put_word(struct step *r, unsigned slot, uint64_t value)
{
	if (value)
		r->slots[slot] = (struct event_slot){.status = SLOT_OK, .value = value};
}

static void put_bytes(struct step *r, unsigned slot, const void *bytes, size_t n)
{
	r->slots[slot] = (struct event_slot){.status = SLOT_OK, .copied = (uint16_t)n, .len = (uint32_t)n,
					     .value = r->head->size};
	memcpy(r->bytes + r->head->size, bytes, n);
	r->head->size += (uint32_t)ALIGN_UP(n, 8);
}

static void put_chain(struct step *r, unsigned slot, uint8_t links, uint8_t end)
{
	uint64_t words[3];
	size_t n = 0;

	for (unsigned shift = 0; shift < 8; shift += 4)
		if (links >> shift & 15)
			words[n++] = 0xc000 + 16u * (links >> shift & 7) + (links >> shift & 8 ? CHAIN_POOLED : 0);
	words[n++] = end % (CHAIN_END_COUNT + 1);
	put_bytes(r, slot, words, n * sizeof(*words));
}

static void put_address(struct step *r, unsigned slot, unsigned port)
{
	char text[32];

	if (port)
		put_bytes(r, slot, text, (size_t)snprintf(text, sizeof(text), "127.0.0.1:%u", port));
}

static void put_header(struct step *r, uint8_t which)
{
	char text[56];

	snprintf(text, sizeof(text), "00-%032x-%016x-01", which & 3, 1 + (which >> 2));
	if (which)
		put_bytes(r, HEADER, text, 55);
}

static void make(struct step *r, const uint8_t *p, uint64_t time)
{
	memset(r->bytes, 0, sizeof(*r->head) + SLOTS * sizeof(*r->slots));
	r->head = (struct event_header *)r->bytes;
	r->slots = (struct event_slot *)(r->head + 1);
	*r->head = (struct event_header){.size = sizeof(*r->head) + SLOTS * sizeof(*r->slots),
					 .version = EVENT_VERSION, .slots = SLOTS, .probe = p[0] % PROBES,
					 .target = 1 + (p[1] >> 7), .time_ns = time, .goid = p[1] & 7,
					 .depth = p[1] >> 3 & 15};
	put_chain(r, CHAIN, p[2], p[3] >> 4);
	put_chain(r, OWN, p[3] & 7, CHAIN_ROOT);
	put_word(r, CREATOR, p[4] & 7);
	put_word(r, START_PC, 0x400000u + TINY_TEXT + 16u * (p[4] >> 4));
	put_word(r, GOIDGEN, p[5] & 15);
	put_word(r, CACHE, p[5] >> 4);
	put_word(r, CACHE_END, 8);
	put_address(r, LOCAL, p[6] & 3);
	put_address(r, REMOTE, p[6] >> 2 & 3);
	put_word(r, STREAM, p[6] >> 4 & 3);
	put_header(r, p[7] & 15);
}

static struct assembler *assembler_of(struct seen_spans *seen, struct binary *binary)
{
	struct assembler *a = assembler_new(&(struct assembler_options){.emit = on_span, .arg = seen, .sample = 1,
									.max_open = 20, .random = counting});

	for (uint32_t i = 0; i < PROBES; i++)
		assembler_add_probe(a, &(struct assembler_probe){.id = i, .pack = &pack, .span = &spans[i % KINDS],
								 .point = &points[i / KINDS], .variant = &variant,
								 .program = &program, .slot_of_item = identity,
								 .binary = binary});
	return a;
}

static void add_target(struct assembler *a, uint32_t id)
{
	assembler_add_target(a, &(struct assembler_target){.id = id, .network = 1});
}

static void take(struct assembler *a, const uint8_t *p, uint64_t time)
{
	static struct step r;
	uint32_t target = 1 + (p[1] >> 7);

	if (p[0] == LOST) {
		assembler_lost(a, time);
	} else if (p[0] == PLANTED) {
		assembler_planted(a, target, time, time & 1);
	} else if (p[0] == LEFT) {
		assembler_end_target(a, target, p[1] & 1, time);
		add_target(a, target);
	} else {
		make(&r, p, time);
		assembler_event(a, r.bytes, p[0] == DAMAGED ? r.head->size - 8 : r.head->size);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct binary *binary;
	static struct tiny tiny;
	struct seen_spans seen = {0};
	struct run_summary sum = {0};
	struct assembler *a;
	uint64_t time = 0;

	if (!binary) { /* of the whole run */
		tiny_build(&tiny, (struct tiny_options){0});
		binary = tiny_open(&tiny, NULL);
	}
	a = assembler_of(&seen, binary);
	add_target(a, 1);
	add_target(a, 2);
	for (; size >= STEP; data += STEP, size -= STEP)
		take(a, data, ++time);
	assembler_end_target(a, 1, true, ++time);
	assembler_end_target(a, 2, size & 1, ++time);
	assembler_summary(a, &sum);
	if (sum.spans != seen.all.len || sum.spans + sum.open + sum.spans_lost > sum.events)
		abort();
	check(&seen);
	assembler_free(a);
	vec_done(&seen.all);
	map_done(&seen.by_id);
	return 0;
}
