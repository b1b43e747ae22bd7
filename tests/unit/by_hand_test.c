/*
 * Spans that a program makes by hand (packs/otel-api.yaml): objects with an address or two, contexts that hold them,
 * and programs that forget to end them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "span/moments.h"
#include "unit/assembling.h"

enum { H_NAME, H_CHAIN, H_KIND, H_ROOT, H_KNOWN, H_START_END };
enum { H_KEY, H_KEY_TOO, H_OWN, H_FAILED, H_SAID, H_RETURN_END };
static const struct pack_capture begin_captures[] = {
	{.name = "name", .transform.hidden = true},     {.use = USE_PARENT_CHAIN},
	{.name = "kind", .transform.hidden = true},     {.name = "root", .transform.hidden = true},
	{.name = "known", .transform.hidden = true},
};
static const struct ir_slot begin_slots[] = {{.kind = VALUE_STRING}, {.kind = VALUE_CHAIN}, {.kind = VALUE_INT},
					     {.kind = VALUE_INT}, {.kind = VALUE_INT}};
static const struct pack_capture object_captures[] = {
	{.name = "key", .transform.hidden = true},      {.name = "key", .transform.hidden = true},
	{.use = USE_OWN_CHAIN},                         {.name = "failed", .transform.hidden = true},
	{.name = "said", .transform.hidden = true},
};
static const struct ir_slot object_slots[] = {{.kind = VALUE_UINT}, {.kind = VALUE_UINT}, {.kind = VALUE_CHAIN},
					      {.kind = VALUE_BOOL}, {.kind = VALUE_STRING}};
static struct capture_program begin_program = PROGRAM(begin_slots), object_program = PROGRAM(object_slots);
static const struct pack_variant v_begin = {.captures = begin_captures, .ncaptures = ARRAY_SIZE(begin_captures)},
	v_began = {.captures = object_captures, .ncaptures = ARRAY_SIZE(object_captures), .at_return = true},
	v_object = {.captures = object_captures, .ncaptures = ARRAY_SIZE(object_captures)};
static const char *const by_name[] = {"{name}", NULL};
static const struct condition is_failed = {.op = CONDITION_ATTRIBUTE, .text = "failed", .len = 6};
static const struct pack_span made = {.name = "made", .kind = SPAN_INTERNAL, .titles = by_name, .key = "key",
				      .detached = true, .context_holds_key = true, .kind_from = "kind", .root = "root",
				      .transparent = "known", .status_text = "said", .error = &is_failed,
				      .event_name = "event"};
static const struct pack_point may_miss_point = {.role = POINT_END, .may_miss = true};
/* What is counted, until it is not known any more. */
enum { C_KEY, C_ONE, C_UNKNOWN, C_END };
static const struct pack_capture count_captures[] = {
	{.name = "key", .transform.hidden = true},
	{.name = "count", .constant = "1", .number = true, .transform.add = true},
	{.name = "count", .constant = "unknown", .transform.hidden = true},
};
static const struct ir_slot count_slots[] = {{.kind = VALUE_UINT}, {.kind = VALUE_BOOL}, {.kind = VALUE_BOOL}};
static struct capture_program count_program = PROGRAM(count_slots);
static const struct pack_variant v_count = {.captures = count_captures, .ncaptures = C_END};
enum { V_KEY, V_NAME, V_SIZE, V_WHAT, V_END };
static const struct pack_capture event_captures[] = {
	{.name = "key", .transform.hidden = true},
	{.name = "event", .transform = {.hidden = true, .keep_empty = true}},
	{.name = "size"},
	{.name = "what"},
};
static const struct ir_slot event_slots[] = {{.kind = VALUE_UINT}, {.kind = VALUE_STRING}, {.kind = VALUE_INT},
					     {.kind = VALUE_STRING}};
static struct capture_program event_program = PROGRAM(event_slots);
static const struct pack_variant v_event = {.captures = event_captures, .ncaptures = V_END};
enum { H_BEGIN = 200, H_BEGAN, H_NOTE, H_ENDED, H_COUNT, H_EVENT };

static uint64_t now;

static int setup_made(void **state)
{
	setup(state);
	now = 1000;
	add_probe(H_BEGIN, &made, &start_point, &v_begin, &begin_program, own_func);
	add_probe(H_BEGAN, &made, &detach_point, &v_began, &object_program, own_func);
	add_probe(H_NOTE, &made, &note_point, &v_object, &object_program, (struct func){0});
	add_probe(H_ENDED, &made, &may_miss_point, &v_object, &object_program, (struct func){0});
	add_probe(H_COUNT, &made, &join_point, &v_count, &count_program, (struct func){0});
	add_probe(H_EVENT, &made, &note_point, &v_event, &event_program, (struct func){0});
	return 0;
}

/* A chain of contexts, nearest first, up to 0; the span-th of them holds the object. */
struct chain {
	uint64_t links[4], span, object;
};

static void put(unsigned slot, const struct chain *c)
{
	struct event_chain_span s = {.link = c->span, .object = c->object};
	uint64_t words[16];
	size_t n = 0;

	while (c->links[n])
		words[n] = c->links[n], n++;
	words[n++] = CHAIN_ROOT;
	if (c->span) {
		memcpy(words + n, &s, sizeof(s));
		n += sizeof(s) / 8;
	}
	record_bytes(&w.r, slot, (const char *)words, 8 * n, (uint32_t)(8 * n));
}

struct started {
	const char *name;      /* NULL: Start is not seen to begin */
	struct chain under;
	uint64_t kind;
	bool root, known;
	uint64_t context, key, too;
};

static void record(uint32_t probe, uint16_t slots)
{
	record_init(&w.r, probe, 1, 100, now += 10, slots);
	for (uint16_t i = 0; i < slots; i++)
		record_status(&w.r, i, SLOT_ABSENT, 0, 0);
}

static void begins(struct started s)
{
	if (s.name) {
		record(H_BEGIN, H_START_END);
		record_str(&w.r, H_NAME, s.name);
		put(H_CHAIN, &s.under);
		if (s.kind)
			record_int(&w.r, H_KIND, s.kind);
		if (s.root)
			record_int(&w.r, H_ROOT, 0);
		if (s.known)
			record_int(&w.r, H_KNOWN, 1);
		send();
	}
	record(H_BEGAN, H_RETURN_END);
	record_int(&w.r, H_KEY, s.key);
	if (s.too)
		record_int(&w.r, H_KEY_TOO, s.too);
	put(H_OWN, &(struct chain){.links = {s.context}});
	send();
}

static void ends(uint64_t key)
{
	record(H_ENDED, H_RETURN_END);
	record_int(&w.r, H_KEY, key);
	send();
}

static const struct span *only(const char *name)
{
	for (size_t i = 0; i < w.spans.len; i++)
		if (!strncmp(w.spans.data[i].text, name, strlen(name)))
			return &w.spans.data[i].span;
	fail_msg("no span %s", name);
	return NULL;
}

static void is_below(const char *child, const char *parent)
{
	const struct span *c = only(child), *p = only(parent);

	assert_int_equal(c->parent_source, PARENT_CONTEXT);
	assert_memory_equal(c->parent_id, p->span_id, 8);
	assert_memory_equal(c->trace_id, p->trace_id, 16);
}

static void has_none(const char *name, enum parent_source source)
{
	const struct span *s = only(name);

	assert_int_equal(s->parent_source, source);
	assert_int_equal(s->parent, source == PARENT_NONE ? SPAN_PARENT_NONE : SPAN_PARENT_UNKNOWN);
}

/* One span that lies in memory twice: it is found by either address, once. */
static void two_keys(void **state)
{
	begins((struct started){.name = "a", .kind = SPAN_CLIENT, .context = 0x1000, .key = 0x2000, .too = 0x3000});
	record(H_NOTE, H_RETURN_END);
	record_int(&w.r, H_KEY, 0x3000);
	record_int(&w.r, H_FAILED, 1);
	record_str(&w.r, H_SAID, "no tea");
	send();
	ends(0x2000);
	ends(0x3000);
	assert_int_equal(w.spans.len, 1);
	assert_string_equal(w.spans.data[0].text, "a error [no tea] {error.type=_OTHER}");
	assert_int_equal(only("a")->kind, SPAN_CLIENT);
	assert_int_equal(still_open() + lost(LOSS_UNPAIRED_START) + lost(LOSS_UNPAIRED_END), 0);
}

/* What was said of it where it is no error is not told; a kind that is none is the definition's. */
static void no_error(void **state)
{
	begins((struct started){.name = "a", .kind = 6, .context = 0x1000, .key = 0x2000});
	record(H_NOTE, H_RETURN_END);
	record_int(&w.r, H_KEY, 0x2000);
	record_str(&w.r, H_SAID, "fine");
	send();
	ends(0x2000);
	assert_string_equal(w.spans.data[0].text, "a unset {}");
	assert_int_equal(only("a")->kind, SPAN_INTERNAL);
}

/* Its context is its own only while it can be seen to hold it. */
static void held(void **state)
{
	begins((struct started){.name = "a", .context = 0x1000, .key = 0x2000, .too = 0x3000});
	begins((struct started){.name = "child", .under = {{0x5000, 0x1000}, 2, 0x3000},
				.context = 0x1100, .key = 0x2100});
	begins((struct started){.name = "other", .under = {{0x5000, 0x1000}, 2, 0x3300},
				.context = 0x1200, .key = 0x2200});
	begins((struct started){.name = "nobody", .under = {{0x1000}, 0, 0}, .context = 0x1300, .key = 0x2300});
	begins((struct started){.name = "hidden", .under = {{0x5000, 0x1000}, 1, 0x9000},
				.context = 0x1400, .key = 0x2400});
	for (uint64_t key = 0x2000; key <= 0x2400; key += 0x100)
		ends(key);
	is_below("child", "a");
	has_none("other", PARENT_NONE);
	has_none("nobody", PARENT_NONE);
	has_none("hidden", PARENT_UNKNOWN);
}

/* One that nobody ends: its memory becomes another's, of which only Start's return is seen, if that. */
static void forgotten(void **state)
{
	begins((struct started){.name = "leak", .context = 0x1000, .key = 0x2000, .too = 0x3000});
	begins((struct started){.context = 0x1000, .key = 0x3000, .too = 0x4000});
	begins((struct started){.name = "child", .under = {{0x1000}, 1, 0x3000}, .context = 0x1100, .key = 0x2100});
	ends(0x2100);
	has_none("child", PARENT_NONE); /* that its context was the leaked one's is seen not to be so */
	assert_int_equal(lost(LOSS_UNPAIRED_START), 0);
	begins((struct started){.context = 0x1500, .key = 0x2000, .too = 0x5000});
	assert_int_equal(lost(LOSS_UNPAIRED_START), 1);
	begins((struct started){.name = "again", .context = 0x1100, .key = 0x2200});
	begins((struct started){.name = "new", .context = 0x1200, .key = 0x2200});
	assert_int_equal(lost(LOSS_UNPAIRED_START), 2);
	ends(0x2200);
	only("new");
	assert_int_equal(still_open(), 0);
}

/* One of the two is garbage when nobody has the context any more: the span goes on, and is found by the other. */
static void half_forgotten(void **state)
{
	begins((struct started){.name = "a", .context = 0x1000, .key = 0x2000, .too = 0x3000});
	begins((struct started){.name = "b", .context = 0x1000, .key = 0x4000, .too = 0x3000});
	begins((struct started){.name = "child", .under = {{0x1000}, 1, 0x3000}, .context = 0x1100, .key = 0x2100});
	ends(0x2100);
	ends(0x2000);
	ends(0x4000);
	is_below("child", "b");
	only("a");
	assert_int_equal(lost(LOSS_UNPAIRED_START) + lost(LOSS_UNPAIRED_END) + still_open(), 0);
}

/* What stands for another one is not shown, and what is below it belongs to its parent. */
static void transparent(void **state)
{
	begins((struct started){.name = "a", .context = 0x1000, .key = 0x2000});
	begins((struct started){.name = "library", .known = true, .under = {{0x1000}, 1, 0x2000}, .context = 0x1100,
				.key = 0x2100});
	begins((struct started){.name = "child", .under = {{0x1100, 0x1000}, 1, 0x2100},
				.context = 0x1200, .key = 0x2200});
	begins((struct started){.name = "top", .known = true, .context = 0x1300, .key = 0x2300});
	begins((struct started){.name = "below", .under = {{0x1300}, 1, 0x2300}, .context = 0x1400, .key = 0x2400});
	for (uint64_t key = 0x2000; key <= 0x2400; key += 0x100)
		ends(key);
	assert_int_equal(w.spans.len, 3);
	is_below("child", "a");
	has_none("below", PARENT_NONE);
	assert_int_equal(still_open() + lost(LOSS_UNPAIRED_START) + lost(LOSS_SAMPLED_OUT), 0);
}

static void new_root(void **state)
{
	begins((struct started){.name = "a", .context = 0x1000, .key = 0x2000});
	begins((struct started){.name = "root", .root = true, .under = {{0x1000}, 1, 0x2000}, .context = 0x1100,
				.key = 0x2100});
	ends(0x2100);
	ends(0x2000);
	has_none("root", PARENT_NONE);
	assert_memory_not_equal(only("root")->trace_id, only("a")->trace_id, 16);
}

static void count(uint64_t key, unsigned slot)
{
	record(H_COUNT, C_END);
	record_head(&w.r)->goid = 77; /* whoever it is */
	record_int(&w.r, C_KEY, key);
	record_int(&w.r, slot, 1);
	send();
}

/* Of the span that has the key, from any goroutine; after what is no number, or when records were lost, none. */
static void counted(void **state)
{
	begins((struct started){.name = "a", .context = 0x1000, .key = 0x2000});
	begins((struct started){.name = "b", .context = 0x1100, .key = 0x2100});
	begins((struct started){.name = "c", .context = 0x1200, .key = 0x2200});
	for (int i = 0; i < 3; i++) {
		count(0x2000, C_ONE);
		count(0x2100, i == 1 ? C_UNKNOWN : C_ONE);
		count(0x2200, C_ONE);
		count(0x9000, C_ONE);
	}
	ends(0x2000);
	ends(0x2100);
	assembler_lost(w.a, now);
	ends(0x2200);
	assert_int_equal(w.spans.len, 3);
	assert_string_equal(w.spans.data[0].text, "a unset {count=#3}");
	assert_string_equal(w.spans.data[1].text, "b unset {}");
	assert_string_equal(w.spans.data[2].text, "c unset {}");
}

static void happens(uint64_t key, const char *name, int64_t size)
{
	record(H_EVENT, V_END);
	record_int(&w.r, V_KEY, key);
	if (name)
		record_str(&w.r, V_NAME, name);
	if (size)
		record_int(&w.r, V_SIZE, (uint64_t)size);
	if (size == 7)
		record_str(&w.r, V_WHAT, "seven");
	send();
}

/* What is noted of a moment is the event's, and not the span's; each is counted that is of none, or has no name. */
static void events(void **state)
{
	const struct span *s;

	begins((struct started){.name = "a", .context = 0x1000, .key = 0x2000});
	happens(0x2000, "first", 7);
	happens(0x2000, "", 0);
	happens(0x9000, "of nobody", 1);
	assert_int_equal(lost(LOSS_SPAN_EVENT), 1);
	happens(0x2000, NULL, 2);
	assert_int_equal(lost(LOSS_SPAN_EVENT), 2);
	ends(0x2000);
	s = only("a");
	assert_string_equal(w.spans.data[0].text, "a unset {}");
	assert_int_equal(s->nevents, 2);
	assert_string_equal(s->events[0].name, "first");
	assert_int_equal(s->events[0].nattrs, 2);
	assert_string_equal(s->events[0].attrs[0].key, "size");
	assert_int_equal(s->events[0].attrs[0].i, 7);
	assert_string_equal(s->events[0].attrs[1].key, "what");
	assert_string_equal(s->events[0].attrs[1].s, "seven");
	assert_string_equal(s->events[1].name, "");
	assert_int_equal(s->events[1].nattrs, 0);
	assert_in_range(s->events[0].unix_ns, s->start_unix_ns + 1, s->events[1].unix_ns - 1);
	assert_in_range(s->events[1].unix_ns, s->start_unix_ns, s->start_unix_ns + s->duration_ns);
	/* the next one has none of its */
	begins((struct started){.name = "b", .context = 0x1000, .key = 0x2000});
	ends(0x2000);
	assert_int_equal(only("b")->nevents, 0);
	begins((struct started){.name = "c", .context = 0x1000, .key = 0x2000});
	for (int i = 0; i < MOMENTS_MAX + 3; i++)
		happens(0x2000, "many", i + 1);
	ends(0x2000);
	assert_int_equal(only("c")->nevents, MOMENTS_MAX);
	assert_int_equal(only("c")->events[MOMENTS_MAX - 1].attrs[0].i, MOMENTS_MAX);
	assert_int_equal(lost(LOSS_SPAN_EVENT), 5);
}

int main(void)
{
#define MADE(f) cmocka_unit_test_setup_teardown(f, setup_made, teardown)
	const struct CMUnitTest tests[] = {
		MADE(two_keys), MADE(no_error), MADE(held), MADE(forgotten), MADE(half_forgotten),
		MADE(transparent), MADE(new_root), MADE(counted), MADE(events)};

	return cmocka_run_group_tests_name("by_hand", tests, NULL, NULL);
}
